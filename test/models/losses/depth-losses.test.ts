import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { DEPTH_LOSSES } from "../../../models/losses/depth.ts";
import type { DepthLoss, DepthMaps, DepthTerm } from "../../../models/losses/depth/map.ts";
import { PAIRS, samplePairs, SIGNIFICANT } from "../../../models/losses/depth/pairs.ts";
import { rankPairs } from "../../../models/losses/depth/ranking.ts";
import type { DepthLossName } from "../../../shared/config/losses.ts";
import { Rng } from "../../../shared/rng/rng.ts";

interface StoredLoss {
  readonly value: number;
  readonly gradient: readonly number[];
}
interface StoredCase extends Omit<DepthMaps, "picture"> {
  readonly picture: readonly number[] | null;
  readonly pairs: readonly (readonly [number, number, -1 | 0 | 1])[];
  readonly losses: Readonly<Record<string, StoredLoss>>;
}
const stored = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../vectors/losses/losses.json"), "utf8")) as {
  depth: StoredCase[];
};

const NAMES = Object.keys(DEPTH_LOSSES) as DepthLossName[];

function expectNear(got: DepthTerm | null, wanted: StoredLoss): void {
  expect(got?.value).toBeCloseTo(wanted.value, 9);
  const worst = wanted.gradient.map((by, i) => Math.abs(by - (got?.gradient[i] ?? Number.NaN)));
  expect(Math.max(...worst)).toBeLessThan(1e-7);
}

function randomMaps(label: string, over: Partial<DepthMaps> = {}): DepthMaps {
  const rng = Rng.of("depth losses", label);
  const width = 9;
  const height = 8;
  const of = (value: () => number) => Float64Array.from({ length: width * height }, value);
  return {
    width,
    height,
    prediction: of(() => rng.normal()),
    target: of(() => rng.normal()),
    weight: of(() => (rng.below(7) === 0 ? 0 : rng.below(2) === 0 ? 1 : 0.5)),
    picture: Float64Array.from({ length: width * height * 3 }, () => rng.uniform()),
    metric: true,
    ...over,
  };
}

/** The largest difference between the gradient and central differences, cell by cell. */
function differenceError(loss: DepthLoss, maps: DepthMaps, step = 1e-6): number {
  const { gradient } = loss(maps) as DepthTerm;
  let worst = 0;
  for (let i = 0; i < gradient.length; i++) {
    const at = (by: number) => {
      const prediction = Float64Array.from(maps.prediction);
      prediction[i] = (prediction[i] as number) + by;
      return (loss({ ...maps, prediction }) as DepthTerm).value;
    };
    worst = Math.max(worst, Math.abs((at(step) - at(-step)) / (2 * step) - (gradient[i] as number)));
  }
  return worst;
}

describe.each(NAMES)("%s", (name) => {
  const { loss } = DEPTH_LOSSES[name];

  test("has NumPy's values and gradients", () => {
    for (const one of stored.depth) {
      const wanted = one.losses[name] as StoredLoss;
      const pairs = one.pairs.map(([first, second, order]) => ({ first, second, order }));
      expectNear(name === "ranking" ? rankPairs(one, pairs) : loss(one), wanted);
    }
  });

  test("has the gradient of its value", () => {
    expect(differenceError(loss, randomMaps("metric"))).toBeLessThan(1e-6);
    expect(differenceError(loss, randomMaps("relative", { metric: false, picture: null }))).toBeLessThan(1e-6);
  });

  test("invalid depth leaks into neither value nor gradient", () => {
    const maps = randomMaps("leak");
    const clean = loss(maps) as DepthTerm;
    const spoil = (values: ArrayLike<number>, by: number) =>
      Float64Array.from(values, (value, i) => (maps.weight[i] === 0 ? by : value));
    for (const [prediction, target] of [
      [1e6, -1e6],
      [Number.NaN, Number.NaN],
    ] as const) {
      const spoilt = {
        ...maps,
        prediction: spoil(maps.prediction, prediction),
        target: spoil(maps.target, target),
      };
      const term = loss(spoilt) as DepthTerm;
      expect(term.value).toBe(clean.value);
      expect([...term.gradient]).toEqual([...clean.gradient]);
    }
    for (const [i, by] of clean.gradient.entries()) if (maps.weight[i] === 0) expect(Math.abs(by)).toBe(0);
    expect(clean.gradient.some((by) => by !== 0)).toBe(true);
  });

  test("a map without readings has no loss", () => {
    expect(loss(randomMaps("empty", { weight: new Float64Array(72) }))).toBeNull();
  });
});

describe("depth losses", () => {
  test("those without smoothness or pairs are 0 at the truth", () => {
    for (const name of ["l1", "l2", "scaleInvariant", "scaleAndShiftInvariant", "ssim", "edgeAware"] as const) {
      const maps = randomMaps("truth");
      const term = DEPTH_LOSSES[name].loss({ ...maps, prediction: maps.target });
      expect(term?.value).toBeCloseTo(0, 9);
    }
  });

  test("the scale-and-shift-invariant loss forgives scale and shift, but not an inverted map", () => {
    const maps = randomMaps("affine");
    const { loss } = DEPTH_LOSSES.scaleAndShiftInvariant;
    const affine = Float64Array.from(maps.target, (value) => 0.3 * value + 5);
    const inverted = Float64Array.from(maps.target, (value) => -value);
    expect(loss({ ...maps, prediction: affine })?.value).toBeCloseTo(0, 9);
    expect(loss({ ...maps, prediction: inverted })?.value).toBeGreaterThan(0.5);
  });

  test("the gradient of the scale-and-shift-invariant loss stays bounded on a flat prediction", () => {
    const term = DEPTH_LOSSES.scaleAndShiftInvariant.loss(randomMaps("flat", { prediction: new Float64Array(72) }));
    expect(Math.max(...(term?.gradient.map(Math.abs) ?? [Number.NaN]))).toBeLessThan(500);
  });

  test("the scale-invariant loss forgives half of a common error", () => {
    const maps = randomMaps("shift");
    const shifted = { ...maps, prediction: Float64Array.from(maps.target, (value) => value + 2) };
    expect(DEPTH_LOSSES.scaleInvariant.loss(shifted)?.value).toBeCloseTo(2, 9);
  });

  test("smoothness lets go at the picture's edges", () => {
    const step = Float64Array.from({ length: 72 }, (_, i) => (i % 9 < 4 ? 0 : 1));
    const flat = new Float64Array(72 * 3).fill(0.5);
    const edge = Float64Array.from({ length: 72 * 3 }, (_, i) => (Math.floor(i / 3) % 9 < 4 ? 0 : 1));
    const weight = new Float64Array(72).fill(1);
    const of = (picture: Float64Array) =>
      DEPTH_LOSSES.smoothness.loss(randomMaps("edges", { prediction: step, picture, weight }))?.value ?? Number.NaN;
    expect(of(edge)).toBeCloseTo(of(flat) * Math.exp(-1), 9);
  });
});

describe("pairs", () => {
  const maps = (over: Partial<DepthMaps> = {}): DepthMaps => {
    const width = 32;
    const height = 24;
    const rng = Rng.of("pairs");
    const inside = (i: number) => i % width > 9 && i % width < 20 && i > 8 * width && i < 18 * width;
    return {
      width,
      height,
      prediction: new Float64Array(width * height),
      target: Float64Array.from({ length: width * height }, (_, i) => (inside(i) ? -1 : 1)),
      weight: Float64Array.from({ length: width * height }, () => (rng.below(20) === 0 ? 0 : 1)),
      picture: Float64Array.from({ length: width * height * 3 }, (_, i) => (inside(Math.floor(i / 3)) ? 0.9 : 0.1)),
      metric: true,
      ...over,
    };
  };

  test.each([["picture", {}] as const, ["depth", { picture: null }] as const])(
    "300 of them, many across the edges of the %s, all with readings, ordered as the depth is",
    (_, over) => {
      const given = maps(over);
      const pairs = samplePairs(given);
      expect(pairs).toHaveLength(PAIRS);
      for (const { first, second, order } of pairs) {
        expect([given.weight[first], given.weight[second]]).toEqual([1, 1]);
        const difference = (given.target[first] as number) - (given.target[second] as number);
        expect(order).toBe(Math.abs(difference) <= SIGNIFICANT ? 0 : Math.sign(difference));
      }
      const near = pairs.filter(({ first, second }) => Math.abs((first % 32) - (second % 32)) <= 6);
      expect(near.filter(({ order }) => order !== 0).length).toBeGreaterThan(20);
      // Without anchors, pairs of equal depth would not be drawn.
      expect(pairs.filter(({ order }) => order === 0).length).toBeGreaterThan(20);
      expect(pairs.filter(({ order }) => order !== 0).length).toBeGreaterThan(150);
    },
  );

  test("the same map draws the same pairs, another map others", () => {
    const other = Float64Array.from(maps().target, (value) => value * 1.01);
    expect(samplePairs(maps())).toEqual(samplePairs(maps({ prediction: new Float64Array(768).fill(3) })));
    expect(samplePairs(maps())).not.toEqual(samplePairs(maps({ target: other })));
  });

  test("a flat map without edges has none", () => {
    expect(samplePairs(maps({ target: new Float64Array(768), picture: null }))).toEqual([]);
  });
});
