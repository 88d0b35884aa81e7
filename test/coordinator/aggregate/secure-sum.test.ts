import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { memorySource, secureSum, type VectorSource } from "../../../coordinator/aggregate/secure-sum.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { newWords, type Words } from "../../../shared/secagg/mask.ts";
import { addMasksPlainly } from "../../reference/mask.ts";

const crypto = new NodeCrypto();

function vector(bits: 32 | 16, words: number, seed: number): Words {
  return newWords(bits, words).map((_, i) => Math.imul(i + seed, 2_654_435_761) >>> 3);
}

describe("the secure sum", () => {
  test.each([32, 16] as const)("agrees with its slow twin, %i bits", async (bits) => {
    const mask = fc.record({
      key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      sign: fc.constantFrom<1 | -1>(1, -1),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(mask, { maxLength: 3 }), fc.integer({ min: 1, max: 5 }), async (masks, count) => {
        const words = 77;
        const vectors = Array.from({ length: count }, (_, i) => vector(bits, words, i * 991));
        const sum = await secureSum(crypto, { wordBits: bits, words }, vectors.map(memorySource), masks);
        const plain = newWords(bits, words);
        for (const each of vectors) for (const [i, word] of each.entries()) plain[i] = (plain[i] as number) + word;
        expect(Array.from(sum, BigInt)).toEqual(addMasksPlainly(plain, masks));
      }),
      { numRuns: 20 },
    );
  });

  test("vectors longer than a read, at odd addresses, come out the same", async () => {
    const words = 600_001;
    const whole = vector(32, words, 5);
    const bytes = new Uint8Array(words * 4 + 1);
    bytes.set(new Uint8Array(whole.buffer), 1);
    const odd: VectorSource = {
      byteLength: words * 4,
      read: async (at, byteLength) => bytes.subarray(1 + at, 1 + at + byteLength),
    };
    let pauses = 0;
    const sum = await secureSum(
      crypto,
      { wordBits: 32, words },
      [odd, memorySource(whole)],
      [],
      async () => void pauses++,
    );
    expect(sum.every((word, i) => word === ((whole[i] as number) * 2) % 2 ** 32)).toBe(true);
    expect(pauses).toBeGreaterThan(2);
  });

  test("a vector of another length is refused", async () => {
    const sources = [memorySource(vector(32, 10, 1)), memorySource(vector(32, 9, 1))];
    await expect(secureSum(crypto, { wordBits: 32, words: 10 }, sources, [])).rejects.toMatchObject({
      code: "WIRE_HASH",
      details: { expected: 40, got: 36 },
    });
  });
});
