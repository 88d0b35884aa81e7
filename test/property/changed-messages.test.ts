/** Whatever is changed in a coordinator's or client's message, it is refused with a code, and the honest one still works. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { z } from "zod";
import type { ClientRound } from "../../client/secagg/client-round.ts";
import { admitShareKeys } from "../../coordinator/aggregate/admit.ts";
import { announcement } from "../../coordinator/aggregate/announce.ts";
import { isCoded } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { newWords } from "../../shared/secagg/mask.ts";
import { roster, shares, signatures, survivors } from "../../shared/secagg/messages.ts";
import { openRoster } from "../../shared/secagg/roster.ts";
import { statementOf } from "../../shared/secagg/signed.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import { fakeFederation, fakeRound, fakeSession, NOW, SETTINGS } from "../fakes/secagg.ts";

const crypto = withVerificationCache(new NodeCrypto());
const fed = fakeFederation(4, crypto);
const session = fakeSession(fed);
const rounds = fed.clients.map((client) => fakeRound(fed, client, session));
const victim = rounds[0] as ClientRound;

/** One character exchanged, left out or doubled, at a random place. */
const change = fc.record({
  at: fc.noBias(fc.nat(99_999).map((n) => n / 100_000)),
  how: fc.constantFrom("exchange", "drop", "double"),
  by: fc.constantFrom(...'0123456789abcdefABCXYZ-_"\\{}[],: '),
});

function changed(text: string, { at, how, by }: { at: number; how: string; by: string }): string {
  const i = Math.floor(at * text.length);
  const middle = { exchange: by, drop: "", double: (text[i] as string) + (text[i] as string) }[how];
  return text.slice(0, i) + middle + text.slice(i + 1);
}

/** Every change is stopped by JSON, by the schema, or by `act`; then the honest value is accepted. */
async function refusesChanges<T>(schema: z.ZodType<T>, honest: T, act: (value: T) => unknown): Promise<void> {
  const text = JSON.stringify(honest);
  let reached = 0;
  await fc.assert(
    fc.asyncProperty(change, async (how) => {
      let value: unknown;
      try {
        value = JSON.parse(changed(text, how));
      } catch {
        return;
      }
      const parsed = schema.safeParse(value);
      if (!parsed.success || JSON.stringify(parsed.data) === text) return;
      reached++;
      const error = await Promise.resolve()
        .then(() => act(parsed.data))
        .then(
          () => null,
          (thrown: unknown) => thrown,
        );
      expect(isCoded(error)).toBe(true);
    }),
    { numRuns: 300 },
  );
  expect(reached).toBeGreaterThan(20);
  await act(honest);
}

describe("a changed message", () => {
  const sharesFor = new Map<ClientName, z.infer<typeof shares>>();

  beforeAll(async () => {
    const entries = announcement.roster((await Promise.all(rounds.map((r) => r.advertise()))).map(statementOf));
    await refusesChanges(roster, entries, (value) => victim.shareKeys(value));
    const members = openRoster(crypto, fed.trust, session, entries.entries, NOW);
    const shared = rounds.map((r) => admitShareKeys(crypto, session, members, r.shareKeys(entries)));
    for (const { name } of fed.clients) {
      const addressed = shared.flatMap((each) => each.statementFor(name) ?? []).filter(({ sender }) => sender !== name);
      sharesFor.set(name, announcement.shares(addressed));
    }
  });

  test("of any step is refused, and the honest one is accepted after it", async () => {
    for (const [i, { name }] of fed.clients.entries()) {
      const honest = sharesFor.get(name) as z.infer<typeof shares>;
      if (i === 0) await refusesChanges(shares, honest, (value) => victim.acceptShares(value));
      else rounds[i]?.acceptShares(honest);
    }
    const inputs = await Promise.all(rounds.map((r) => r.mask(newWords(32, SETTINGS.words))));
    const list = announcement.survivors(
      inputs.map(statementOf),
      fed.clients.map(({ name }) => name),
    );
    await refusesChanges(survivors, list, (value) => victim.confirmSurvivors(value));
    const given = rounds.map((r) => r.confirmSurvivors(list));
    const all = announcement.signatures(given.map((m) => ({ sender: m.sender as ClientName, signature: m.signature })));
    await refusesChanges(signatures, all, (value) => victim.reveal(value));
    expect((await victim.reveal(all)).step).toBe("unmask");
  });
});
