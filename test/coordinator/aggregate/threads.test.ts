/** Masks are taken off in passes and in threads; however they are dealt out, the sum is the same. */
import { describe, expect, test } from "@jest/globals";
import { applyMasks, memorySource, secureSum, type Unmasker } from "../../../coordinator/aggregate/secure-sum.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { addMasks, inlineMasker, newWords, type Mask, type WordBits } from "../../../shared/secagg/mask.ts";

const crypto = new NodeCrypto();

function masksOf(count: number): Mask[] {
  return Array.from({ length: count }, (_, i) => ({
    key: crypto.sha256(new Uint8Array([i & 255, i >> 8])),
    sign: i % 3 === 0 ? -1 : 1,
  }));
}

describe.each<WordBits>([32, 16])("%i-bit words", (wordBits) => {
  test.each([1, 2, 3])("%i threads", async (threads) => {
    const words = (4 << 20) / (wordBits / 8) + 5;
    const masks = masksOf(9);
    const expected = newWords(wordBits, words).fill(7);
    addMasks(crypto, expected, masks);
    const given: number[] = [];
    const unmasker: Unmasker = {
      threads,
      mask: (vector, own) => {
        given.push(own.length);
        return inlineMasker(crypto)(vector, own);
      },
    };
    const vectors = [3, 4].map((value) => memorySource(newWords(wordBits, words).fill(value)));
    const sum = await secureSum(crypto, { wordBits, words }, vectors, masks, undefined, unmasker);
    expect(Buffer.compare(Buffer.from(sum.buffer), Buffer.from(expected.buffer))).toBe(0);
    expect(given).toHaveLength(threads);
    expect(given.reduce((a, b) => a + b)).toBe(9);
    // Memory that is used again holds nothing of the sum before.
    const again = newWords(wordBits, words).fill(7);
    await applyMasks(crypto, again, masks, undefined, unmasker);
    expect(Buffer.compare(Buffer.from(again.buffer), Buffer.from(expected.buffer))).toBe(0);
  });

  test("more masks than one pass takes", async () => {
    const masks = masksOf(2_100);
    const expected = newWords(wordBits, 40);
    addMasks(crypto, expected, masks);
    const sum = newWords(wordBits, 40);
    await applyMasks(crypto, sum, masks);
    expect(sum).toEqual(expected);
  });
});

test("a small sum is not handed to threads", async () => {
  const unmasker: Unmasker = { threads: 2, mask: () => Promise.reject(new Error("not needed")) };
  const sum = newWords(32, 100);
  await applyMasks(crypto, sum, masksOf(3), undefined, unmasker);
  expect(sum.some((word) => word !== 0)).toBe(true);
});
