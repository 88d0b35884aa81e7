import { describe, expect, test } from "@jest/globals";
import { addSealed } from "../../../coordinator/aggregate/sealed-sum.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { bytesOf, newWords } from "../../../shared/secagg/mask.ts";
import { sealVector } from "../../../shared/secagg/sealed.ts";
import { fixedSecureRng } from "../../fakes/secagg.ts";

const crypto = new NodeCrypto();
const key = crypto.agreementKey(new Uint8Array(32).fill(4));
const from = { sid: "5e".repeat(32), client: "site-1" as ClientName, key };
const CHUNK = 65_536 + 16;

function sealed(words: Uint32Array | Uint16Array): Uint8Array {
  const random = fixedSecureRng(crypto, "sealing");
  return sealVector(crypto, random, from.sid, from.client, key.publicKey, bytesOf(words));
}

describe.each([32, 16] as const)("a sealed vector of words of %i bits", (bits) => {
  const length = (3 * 65_536) / (bits / 8) + 5;
  const values = newWords(bits, length).map((_, i) => i * 40_503 + 2 ** (bits - 1));

  test("is added mod 2^m", async () => {
    const total = newWords(bits, length).map((_, i) => 7 * i);
    const expected = total.map((value, i) => value + (values[i] as number));
    await addSealed(crypto, from, sealed(values), total);
    expect(Buffer.compare(bytesOf(total), bytesOf(expected))).toBe(0);
  });

  test.each([0, 1, 3])("that does not open in chunk %i leaves the sum as it was", async (chunk) => {
    const total = newWords(bits, length).map((_, i) => 7 * i);
    const before = total.slice();
    const spoiled = sealed(values);
    const at = 32 + chunk * CHUNK + 3;
    spoiled[at] = (spoiled[at] as number) ^ 1;
    await expect(addSealed(crypto, from, spoiled, total)).rejects.toMatchObject({ code: "WIRE_HASH" });
    expect(Buffer.compare(bytesOf(total), bytesOf(before))).toBe(0);
  });

  test("of another length is refused", async () => {
    const short = sealed(values.subarray(1));
    await expect(addSealed(crypto, from, short, newWords(bits, length))).rejects.toMatchObject({
      code: "UPDATE_SHAPE",
    });
  });
});
