/** Both halves of an update: what clients encode, summed, is what the coordinator decodes. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeStatistics, encodeUpdate, type LocalUpdate, type UpdateRules } from "../../../client/update/encode.ts";
import { decodeAggregate } from "../../../coordinator/aggregate/decode.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import { fixedPoint } from "../../../shared/quantize/fixed-point.ts";
import { newWords, type WordBits, type Words } from "../../../shared/secagg/mask.ts";
import { readReal, readStatistics, trainingLayout, vectorLayout } from "../../../shared/secagg/vector-layout.ts";

const params = layoutOf([
  { name: "stem/kernel", shape: [2, 3] },
  { name: "head/bias", shape: [4] },
]);

function rules(changes: { wordBits?: WordBits; clipNorm?: number | null; cohortMax?: number } = {}): UpdateRules {
  const { wordBits = 32, clipNorm = null, cohortMax = 4 } = changes;
  return {
    layout: trainingLayout({ wordBits, cohortMax, coordinates: params.length }),
    fixed: fixedPoint({ wordBits, cohortMax, maxWeight: 32, coordinateBound: 1 }),
    clipNorm,
    examplesPerWeight: 8,
  };
}

function update(values: readonly number[], rest: Partial<LocalUpdate> = {}): LocalUpdate {
  return { delta: Float32Array.from(values), examples: 80, examplesSeen: 160, lossSum: 12.5, ...rest };
}

function summed(vectors: readonly Words[]): Words {
  const sum = newWords((vectors[0] as Words).BYTES_PER_ELEMENT === 4 ? 32 : 16, (vectors[0] as Words).length);
  for (const vector of vectors) for (const [i, word] of vector.entries()) sum[i] = (sum[i] as number) + word;
  return sum;
}

function code(act: () => unknown): { code: ErrorCode; details: Record<string, unknown> } {
  try {
    act();
  } catch (error) {
    const { code: name, details } = error as { code: ErrorCode; details: Record<string, unknown> };
    return { code: name, details };
  }
  throw new Error("not refused");
}

const steady = Array.from({ length: 10 }, (_, i) => (i - 5) / 10);

describe("the two halves", () => {
  test.each([32, 16] as const)("the weighted mean, counts and losses come back, %i bits", (wordBits) => {
    const rule = rules({ wordBits });
    const value = fc.float({ min: -1, max: 1, noNaN: true });
    const site = fc.record({
      values: fc.array(value, { minLength: 10, maxLength: 10 }),
      examples: fc.integer({ min: 1, max: 400 }),
      lossSum: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(site, { minLength: 1, maxLength: 4 }), (sites) => {
        const encoded = sites.map((s) =>
          encodeUpdate(rule, params, update(s.values, { ...s, examplesSeen: 2 * s.examples })),
        );
        const aggregate = decodeAggregate(rule, summed(encoded.map((e) => e.words)), sites.length);
        const weights = encoded.map((e) => e.weight);
        const total = weights.reduce((a, b) => a + b);
        expect(aggregate.totalWeight).toBe(total);
        expect(aggregate.examples).toBe(sites.reduce((n, s) => n + s.examples, 0));
        expect(aggregate.examplesSeen).toBe(2 * aggregate.examples);
        const loss = sites.reduce((n, s) => n + s.lossSum, 0) / aggregate.examplesSeen;
        expect(Math.abs(aggregate.loss - loss)).toBeLessThan(1e-5);
        for (const [i, got] of aggregate.meanDelta.entries()) {
          const mean =
            sites.reduce((n, s, k) => n + Math.fround(s.values[i] as number) * (weights[k] as number), 0) / total;
          expect(Math.abs(got - mean)).toBeLessThanOrEqual(0.5 / rule.fixed.scale + 1e-7);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("one client alone in the sum gives its delta back, clipped to bound and norm", () => {
    const wild = update([5, -5, ...steady.slice(2)]);
    const byBound = encodeUpdate(rules(), params, wild);
    expect(byBound.clipped).toBe(2);
    const aggregate = decodeAggregate(rules(), byBound.words, 1);
    expect(aggregate.meanDelta[0]).toBe(1);
    expect(aggregate.meanDelta[1]).toBe(-1);
    expect(aggregate.clippedShare).toBe(0.2);
    const byNorm = encodeUpdate(rules({ clipNorm: 0.5 }), params, wild);
    expect(byNorm.norm).toBeGreaterThan(7);
    expect(decodeAggregate(rules({ clipNorm: 0.5 }), byNorm.words, 1).norm).toBeCloseTo(0.5, 4);
    expect(byNorm.clipped).toBe(0);
  });
});

describe("a client's own check", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "%s is found and its tensor named",
    (bad) => {
      const refused = code(() => encodeUpdate(rules(), params, update(steady.with(7, bad))));
      expect(refused).toEqual({ code: "UPDATE_NOT_FINITE", details: { tensor: "head/bias", index: 7 } });
    },
  );

  test("another shape is refused", () => {
    const refused = code(() => encodeUpdate(rules(), params, update(steady.slice(1))));
    expect(refused).toEqual({ code: "UPDATE_SHAPE", details: { expected: 10, got: 9 } });
  });

  test.each([{ lossSum: Number.NaN }, { examples: -1 }, { examplesSeen: 1.5 }, { lossSum: 1e12 }])(
    "%j is refused",
    (bad) => {
      expect(code(() => encodeUpdate(rules(), params, update(steady, bad))).code).toBe("STATISTIC_INVALID");
    },
  );
});

describe("the coordinator's check of the sum", () => {
  const honest = () => summed([1, 2, 3].map(() => encodeUpdate(rules(), params, update(steady)).words));

  test("total weight", () => {
    expect(decodeAggregate(rules(), honest(), 3).totalWeight).toBe(30);
    expect(code(() => decodeAggregate(rules(), honest(), 31)).code).toBe("AGGREGATE_WEIGHT");
    const sum = honest();
    sum[10] = 3 * 32 + 1;
    expect(code(() => decodeAggregate(rules(), sum, 3))).toEqual({
      code: "AGGREGATE_WEIGHT",
      details: { expected: [3, 96], got: 97 },
    });
  });

  test("range of a coordinate", () => {
    const sum = honest();
    sum[4] = rules().fixed.qMax * 30 + 1;
    expect(code(() => decodeAggregate(rules(), sum, 3)).code).toBe("AGGREGATE_RANGE");
    sum[4] = -(rules().fixed.qMax * 30);
    expect(decodeAggregate(rules(), sum, 3).meanDelta[4]).toBe(-1);
  });

  test("norm", () => {
    // Clients that did not clip, as a lying one might.
    expect(code(() => decodeAggregate(rules({ clipNorm: 0.5 }), honest(), 3)).code).toBe("AGGREGATE_NORM");
    expect(decodeAggregate(rules({ clipNorm: 1 }), honest(), 3).norm).toBeLessThan(1);
  });
});

describe("statistics alone", () => {
  const layout = vectorLayout({ wordBits: 32, cohortMax: 64, coordinates: 0, statistics: ["hits", "misses"] });

  test("come back", () => {
    const sum = summed([
      encodeStatistics(layout, { hits: 3, misses: 2 ** 40 }),
      encodeStatistics(layout, { hits: 4, misses: 1 }),
    ]);
    expect(readStatistics(layout, sum)).toEqual({ hits: 7, misses: 2 ** 40 + 1 });
    expect(readReal({ "loss+": 2 ** 20, "loss-": 2 ** 19 }, "loss")).toBe(0.5);
  });

  test("missing or unknown ones are refused", () => {
    expect(code(() => encodeStatistics(layout, { hits: 3 })).details["field"]).toBe("misses");
    expect(code(() => encodeStatistics(layout, { hits: 3, misses: 1, other: 2 })).details["field"]).toBe("other");
  });
});
