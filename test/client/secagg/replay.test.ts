/** A whole attempt with fixed randomness: the same bytes as recorded, by either cryptographic library. */
import { expect, test } from "@jest/globals";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { bytesOf, newWords } from "../../../shared/secagg/mask.ts";
import type { CryptoPort } from "../../../shared/secagg/crypto-port.ts";
import { withVerificationCache } from "../../../shared/secagg/verification-cache.ts";
import { referenceCrypto } from "../../reference/crypto.ts";
import { fakeFederation, fakeSession, runAttempt, SETTINGS } from "../../fakes/secagg.ts";
import recorded from "../../vectors/attempt.json" with { type: "json" };

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

async function replay(crypto: CryptoPort): Promise<typeof recorded> {
  const fed = fakeFederation(4, crypto);
  const session = fakeSession(fed);
  const settings = { ...SETTINGS, words: 4 };
  const inputs = fed.clients.map((_, c) => newWords(32, 4).map((_w, i) => 10 * c + i));
  const result = await runAttempt(fed, session, inputs, settings, [null, "masked-input", null, null]);
  const shares = (kind: "selfMask" | "maskKey") =>
    result.revealed.flatMap((each) => each[kind].map((s) => `${s.owner} by ${s.holder}: ${hex(s.share)}`));
  return {
    sid: session.sid,
    survivors: [...result.survivors],
    masked: Object.fromEntries(
      [...result.masked].map(([name, words]) => [name, hex(bytesOf(words))]),
    ) as (typeof recorded)["masked"],
    selfMaskShares: shares("selfMask"),
    maskKeyShares: shares("maskKey"),
    sum: [...(result.sum ?? [])],
  };
}

test.each([
  ["node:crypto", new NodeCrypto() as CryptoPort],
  ["the slow twin", withVerificationCache(referenceCrypto)],
])("four clients, one of which vanishes, by %s", async (_name, crypto) => {
  expect(await replay(crypto)).toEqual(recorded);
});
