import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isCoded } from "../../../shared/errors.ts";
import { limbsFor, readLimbs, writeLimbs } from "../../../shared/quantize/limbs.ts";
import { newWords } from "../../../shared/secagg/mask.ts";

describe("limbs", () => {
  test.each([
    [32, 64, 26, 3],
    [32, 1000, 22, 3],
    [32, 3, 30, 2],
    [16, 64, 10, 6],
    [16, 10_000, 2, 27],
  ] as const)("%i bits, %i clients: %i bits in each of %i words", (wordBits, cohortMax, bits, count) => {
    expect(limbsFor(wordBits, cohortMax)).toEqual({ bits, count });
    expect(cohortMax * (2 ** bits - 1)).toBeLessThan(2 ** wordBits);
    expect(bits * count).toBeGreaterThanOrEqual(53);
  });

  test.each([32, 16] as const)("sums over a whole cohort are exact, %i bits", (wordBits) => {
    const value = fc.oneof(
      fc.maxSafeNat(),
      fc.nat(),
      fc.constantFrom(0, Number.MAX_SAFE_INTEGER, 2 ** 52, 2 ** 26 - 1),
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 64 }), (values) => {
        const limbs = limbsFor(wordBits, 64);
        const sum = newWords(wordBits, limbs.count + 2);
        for (const each of values) {
          const words = newWords(wordBits, sum.length);
          writeLimbs(limbs, "x", each, words, 1);
          for (const [i, word] of words.entries()) sum[i] = (sum[i] as number) + word;
        }
        const exact = values.reduce((total, each) => total + BigInt(each), 0n);
        if (exact <= BigInt(Number.MAX_SAFE_INTEGER)) {
          expect(readLimbs(limbs, "x", sum, 1)).toBe(Number(exact));
        } else {
          expect(() => readLimbs(limbs, "x", sum, 1)).toThrow(/the sum \d+ is 2\^53 or more/);
        }
      }),
    );
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("%s is no statistic", (value) => {
    const limbs = limbsFor(32, 64);
    let error: unknown;
    try {
      writeLimbs(limbs, "count", value, new Uint32Array(3), 0);
    } catch (thrown) {
      error = thrown;
    }
    expect(isCoded(error, "STATISTIC_INVALID")).toBe(true);
    expect((error as { details: object }).details).toEqual({ field: "count", got: value });
  });

  test("a cohort that fills the word is refused", () => {
    expect(() => limbsFor(16, 2 ** 16)).toThrow(/cohort.max/);
  });
});
