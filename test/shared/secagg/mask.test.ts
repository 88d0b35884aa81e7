import { describe, expect, test } from "@jest/globals";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { addMasks, bytesOf, negated, newWords, pairwiseMask, selfMask } from "../../../shared/secagg/mask.ts";
import { BLOCK_BYTES, SimdBlock } from "../../../shared/secagg/simd.ts";
import { referenceCrypto } from "../../reference/crypto.ts";
import { addMasksPlainly } from "../../reference/mask.ts";
import vectors from "../../vectors/masks.json" with { type: "json" };

const crypto = new NodeCrypto();
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const mask = fc.record({ key, sign: fc.constantFrom<1 | -1>(1, -1) });

describe.each([
  ["node:crypto", crypto],
  ["the slow twin", referenceCrypto],
])("the mask specification by %s", (_name, library) => {
  test("known answers", () => {
    const { sid } = vectors;
    const a = { name: vectors.pair.a.name, maskKey: library.agreementKey(hexToBytes(vectors.pair.a.secret)).publicKey };
    const b = { name: vectors.pair.b.name, maskKey: library.agreementKey(hexToBytes(vectors.pair.b.secret)).publicKey };
    const shared = library.agreementKey(hexToBytes(vectors.pair.a.secret)).agree(b.maskKey) as Uint8Array;
    const self = selfMask(library, sid, hexToBytes(vectors.selfMask.seed));
    const pair = pairwiseMask(library, sid, shared, a, b);
    expect(bytesToHex(self.key)).toBe(vectors.selfMask.key);
    expect(bytesToHex(pair.key)).toBe(vectors.pair.key);
    expect([self.sign, pair.sign]).toEqual([1, 1]);
    expect(pairwiseMask(library, sid, shared, b, a)).toEqual({ key: pair.key, sign: -1 });
    for (const bits of [32, 16] as const) {
      const words = newWords(bits, 8).map((_, i) => i);
      addMasks(library, words, [self, pair]);
      expect(bytesToHex(bytesOf(words))).toBe(vectors.masked[bits]);
    }
  });
});

describe("adding masks", () => {
  test.each([32, 16] as const)("agrees with the slow twin, %i bits", (bits) => {
    fc.assert(
      fc.property(fc.array(mask, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 300 }), (masks, length) => {
        const words = newWords(bits, length).map((_, i) => i * 2_654_435_761);
        const expected = addMasksPlainly(words, masks);
        addMasks(crypto, words, masks);
        expect(Array.from(words, BigInt)).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test("goes on across blocks", () => {
    const length = (2 * BLOCK_BYTES) / 4 + 5;
    const masks = [{ key: new Uint8Array(32).fill(1), sign: 1 as const }];
    const words = new Uint32Array(length);
    addMasks(crypto, words, masks);
    const stream = crypto.maskStream(masks[0]?.key as Uint8Array).next(length * 4);
    expect(Buffer.compare(bytesOf(words), stream)).toBe(0);
    addMasks(crypto, words, masks.map(negated));
    expect(words.every((word) => word === 0)).toBe(true);
  });

  test("no masks change nothing, and an unaligned view is fine", () => {
    const words = new Uint32Array(21).fill(7).subarray(1);
    addMasks(crypto, words, []);
    expect(words.every((word) => word === 7)).toBe(true);
    const masks = [{ key: new Uint8Array(32).fill(3), sign: -1 as const }];
    const expected = addMasksPlainly(words, masks);
    addMasks(crypto, words, masks);
    expect(Array.from(words, BigInt)).toEqual(expected);
  });
});

describe("the WebAssembly block", () => {
  test.each([32, 16] as const)("adds and subtracts mod 2^%i, at every length", (bits) => {
    const modulus = 2 ** bits;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(modulus - 1), fc.nat(modulus - 1)), { minLength: 1, maxLength: 70 }),
        (pairs) => {
          for (const sign of [1, -1] as const) {
            const block = SimdBlock.shared;
            const sum = newWords(bits, pairs.length).map((_, i) => (pairs[i] as [number, number])[0]);
            block.load(bytesOf(sum));
            block.combine(
              bytesOf(newWords(bits, pairs.length).map((_, i) => (pairs[i] as [number, number])[1])),
              bits,
              sign,
            );
            block.store(bytesOf(sum));
            expect([...sum]).toEqual(pairs.map(([a, b]) => (a + sign * b + modulus) % modulus));
          }
        },
      ),
    );
  });
});
