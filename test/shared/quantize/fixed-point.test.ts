import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isCoded } from "../../../shared/errors.ts";
import {
  decodeMean,
  encodeCoordinates,
  fixedPoint,
  proveHeadroom,
  signedView,
  weightOf,
  type FixedPointConfig,
} from "../../../shared/quantize/fixed-point.ts";
import { newWords } from "../../../shared/secagg/mask.ts";
import { encodePlainly } from "../../reference/fixed-point.ts";

const CONFIG: FixedPointConfig = { wordBits: 32, cohortMax: 64, maxWeight: 64, coordinateBound: 1 };
const coordinate = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: -2, max: 2, noNaN: true }),
  fc.constantFrom(0, -0, 1, -1),
);

describe("headroom", () => {
  test("is as designed", () => {
    expect(proveHeadroom(CONFIG)).toBe(524_287);
    expect(proveHeadroom({ ...CONFIG, cohortMax: 1000 })).toBe(33_554);
    expect(proveHeadroom({ ...CONFIG, wordBits: 16, cohortMax: 4, maxWeight: 64 })).toBe(127);
  });

  test("says which number to change when fewer than 127 levels are left", () => {
    let error: unknown;
    try {
      fixedPoint({ ...CONFIG, wordBits: 16 });
    } catch (thrown) {
      error = thrown;
    }
    expect(isCoded(error, "CONFIG_HEADROOM")).toBe(true);
    expect((error as Error).message).toContain(
      "schedule.cohort.max x secureAggregation.maxWeight: expected at most 258",
    );
    expect(() => proveHeadroom({ ...CONFIG, cohortMax: 4, maxWeight: 64 }, 2 ** 31)).toThrow();
  });

  test("the largest possible sum does not overflow, and one level more would", () => {
    for (const cohortMax of [3, 10, 64, 1000]) {
      for (const maxWeight of [1, 7, 64]) {
        const qMax = proveHeadroom({ wordBits: 32, cohortMax, maxWeight });
        expect(qMax * cohortMax * maxWeight).toBeLessThanOrEqual(2 ** 31 - 1);
        expect((qMax + 1) * cohortMax * maxWeight).toBeGreaterThan(2 ** 31 - 1);
      }
    }
  });
});

describe("weights", () => {
  test.each([
    [0, 1],
    [3, 1],
    [12, 2],
    [40, 5],
    [8 * 64, 64],
    [1e9, 64],
  ])("%i examples weigh %i", (examples, weight) => expect(weightOf(examples, 8, 64)).toBe(weight));
});

describe("encoding", () => {
  test.each([32, 16] as const)("agrees with its slow twin, %i bits", (wordBits) => {
    const fixed = fixedPoint({ ...CONFIG, wordBits, cohortMax: 4 });
    fc.assert(
      fc.property(
        fc.array(coordinate, { maxLength: 50 }),
        fc.integer({ min: 1, max: 64 }),
        fc.constantFrom(1, 0.5, 0.123),
        (values, weight, factor) => {
          const delta = Float32Array.from(values);
          const out = newWords(wordBits, delta.length + 1);
          const clipped = encodeCoordinates(fixed, delta, weight, factor, out);
          const { qMax, bound } = fixed;
          const slow = encodePlainly(delta, { qMax, bound, wordBits, factor, weight });
          expect([...out]).toEqual([...slow.words, 0]);
          expect(clipped).toBe(slow.clipped);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("rounds ties to even, and both signs alike", () => {
    const fixed = { ...fixedPoint(CONFIG), qMax: 10, scale: 1 };
    const out = new Uint32Array(6);
    encodeCoordinates(fixed, Float32Array.of(0.5, 1.5, 2.5, -0.5, -1.5, -2.5), 1, 1, out);
    expect([...(signedView(out) as Int32Array)]).toEqual([0, 2, 2, 0, -2, -2]);
  });

  test.each([32, 16] as const)("the mean of the whole cohort is right to half a step, %i bits", (wordBits) => {
    const cohortMax = 4;
    const fixed = fixedPoint({ ...CONFIG, wordBits, cohortMax, maxWeight: 32 });
    const inBounds = fc.float({ min: -1, max: 1, noNaN: true });
    const client = fc.tuple(fc.array(inBounds, { minLength: 9, maxLength: 9 }), fc.integer({ min: 1, max: 32 }));
    fc.assert(
      fc.property(fc.array(client, { minLength: 1, maxLength: cohortMax }), (clients) => {
        const sum = newWords(wordBits, 9);
        for (const [values, weight] of clients) {
          const out = newWords(wordBits, 9);
          encodeCoordinates(fixed, Float32Array.from(values), weight, 1, out);
          for (const [i, word] of out.entries()) sum[i] = (sum[i] as number) + word;
        }
        const total = clients.reduce((all, [, weight]) => all + weight, 0);
        const mean = decodeMean(fixed, signedView(sum), total);
        for (const [i, value] of mean.entries()) {
          const exact = clients.reduce((all, [values, w]) => all + Math.fround(values[i] as number) * w, 0) / total;
          expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.5 / fixed.scale + 1e-7);
        }
      }),
    );
  });
});
