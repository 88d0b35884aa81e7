import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { predict } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { certainty, confidenceOf, rankCorrelation, spreadTellsError } from "../../../models/explain/confidence.ts";
import { explainSample } from "../../../models/explain/explain.ts";
import { blurred, cellSums, pictureMap, resampled } from "../../../models/explain/maps.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squareSample, testConfig } from "../synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

describe("certainty", () => {
  test("is 0 for equal logits, 1 for one that has all, and 1 - entropy / log K between", () => {
    expect(certainty([3, 3, 3, 3])).toBeCloseTo(0, 12);
    expect(certainty([500, -500, 0])).toBeCloseTo(1, 12);
    const p = [0.7, 0.2, 0.1];
    const entropy = -p.reduce((sum, q) => sum + q * Math.log(q), 0);
    expect(certainty(p.map((q) => Math.log(q) - 9))).toBeCloseTo(1 - entropy / Math.log(3), 12);
    expect(certainty([4])).toBe(1);
  });

  test("lies in [0, 1] and has no say about which class", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 2, maxLength: 9 }), (logits) => {
        const value = certainty(logits);
        expect(value).toBeGreaterThan(-1e-9);
        expect(value).toBeLessThan(1 + 1e-9);
        expect(certainty(logits.toReversed())).toBeCloseTo(value, 9);
      }),
    );
  });
});

test("rank correlation: Spearman's, with mean ranks for equals", () => {
  expect(rankCorrelation([1, 2, 3, 9], [10, 20, 21, 22])).toBeCloseTo(1, 12);
  expect(rankCorrelation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
  // scipy.stats.spearmanr([1, 2, 2, 4, 5], [5, 6, 7, 8, 7])
  expect(rankCorrelation([1, 2, 2, 4, 5], [5, 6, 7, 8, 7])).toBeCloseTo(0.763157894736842, 9);
  expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBe(0);
});

test("movement that grows with the error tells it; without truth there is nothing to tell", () => {
  const truth = { values: new Float32Array([2, 2, 2, 2]), valid: new Uint8Array([1, 1, 1, 0]) };
  const depth = new Float32Array([2, 2.5, 4, 9]);
  expect(spreadTellsError(new Float32Array([0, 1, 2, 0]), depth, truth, "metric")).toBeCloseTo(1, 9);
  expect(spreadTellsError(new Float32Array([2, 1, 0, 0]), depth, truth, "metric")).toBeCloseTo(-1, 9);
  expect(spreadTellsError(depth, depth, { ...truth, valid: new Uint8Array(4) }, "metric")).toBeNull();
});

test("confidence maps have the picture's size, and repeat with the seed", () => {
  const config = testConfig({ input: { size: [32, 32] } });
  const built = buildModel(config, 7);
  const sample = squareSample("a", Rng.of(3), 50, 40);
  const explained = explainSample(built, config, sample, predict(built, config, sample), {
    steps: 2,
    maxSteps: 2,
    tolerance: 1,
  });
  const [a, b, c] = [1, 1, 2].map((seed) => confidenceOf(built, config, explained, sample, Rng.of(seed)));
  expect([a?.certainty?.length, a?.depthSpread?.length]).toEqual([2000, 2000]);
  expect(a).toEqual(b);
  expect(a?.depthSpread).not.toEqual(c?.depthSpread);
  expect(Math.min(...(a?.depthSpread ?? [-1]))).toBeGreaterThan(0);
  built.dispose();
});

describe("maps in cells", () => {
  test("keep their sum when cells grow, also where the last are cut", () => {
    const values = Float32Array.from({ length: 10 * 7 * 2 }, (_, i) => i % 5);
    const map = cellSums(values, 7, 10, 2, 4);
    expect([map.columns, map.rows]).toEqual([3, 2]);
    const total = values.reduce((a, b) => a + b);
    expect(map.values.reduce((a, b) => a + b)).toBe(total);
    expect(resampled(map, 8).values.reduce((a, b) => a + b)).toBe(total);
    expect(map.values[5]).toBe(
      [8, 9]
        .flatMap((x) => [4, 5, 6].flatMap((y) => [0, 1].map((c) => values[(y * 10 + x) * 2 + c] as number)))
        .reduce((a, b) => a + b),
    );
  });

  test("stay what they are where they are even, finer or as large as the picture, padding apart", () => {
    const map = { stride: 16, columns: 2, rows: 2, values: new Float32Array([1, 3, 1, 3]) };
    expect([...resampled(map, 8).values.subarray(0, 4)]).toEqual([1, 1.5, 2.5, 3]);
    const geometry = { height: 32, width: 32, contentHeight: 32, contentWidth: 16 };
    expect([...pictureMap(map, geometry, { width: 2, height: 2 })]).toEqual([1, 1.5, 1, 1.5]);
  });

  test("blurring keeps what is even and the mean of what is not, and spreads a point", () => {
    const even = new Float32Array(6 * 5 * 2).fill(3);
    for (const value of blurred(even, 6, 5, 2, 2)) expect(value).toBeCloseTo(3, 5);
    const point = new Float32Array(21 * 21);
    point[10 * 21 + 10] = 1;
    const spread = blurred(point, 21, 21, 1, 2);
    expect(spread.reduce((a, b) => a + b)).toBeCloseTo(1, 4);
    expect(spread[10 * 21 + 10]).toBeLessThan(0.1);
    expect(spread[12 * 21 + 9]).toBeCloseTo(spread[8 * 21 + 11] as number, 6);
  });
});
