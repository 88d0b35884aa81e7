import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { plainView, randomView, type View } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { denormalisedDepth, depthScale, normalisedDepth } from "../../../models/preprocess/depth.ts";
import { geometryOf, prepareSample } from "../../../models/preprocess/prepare.ts";
import { IGNORE_CLASS } from "../../../models/preprocess/sample.ts";
import {
  bucketOf,
  TEXT_BUCKETS,
  TEXT_FEATURES,
  TEXT_WORDS,
  tokenise,
  wordFeatures,
} from "../../../models/preprocess/text.ts";
import type { ModalityDropout } from "../../../shared/config/robustness.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squareSample, squares, testConfig, unlabelled } from "../synthetic-samples.ts";

const config = testConfig();
const { training } = config;

describe("preparation", () => {
  test("pads to the stride and ignores the padding", () => {
    const odd = testConfig({ input: { size: [50, 70] } });
    expect(geometryOf(odd)).toEqual({ height: 64, width: 96, contentHeight: 50, contentWidth: 70 });
    const { segmentation, depth } = prepareSample(squareSample("a", Rng.of(1)), odd);
    expect(segmentation?.[49 * 96 + 69]).not.toBe(IGNORE_CLASS);
    expect(segmentation?.[49 * 96 + 70]).toBe(IGNORE_CLASS);
    expect(segmentation?.[50 * 96]).toBe(IGNORE_CLASS);
    expect(depth?.[50 * 96]).toBeNaN();
  });

  test("leaves a picture of the right size as it is, and keeps the mean of one that shrinks", () => {
    const same = squareSample("a", Rng.of(1), 64, 64);
    expect(prepareSample(same, config).rgb).toEqual(same.rgb);
    const large = squareSample("a", Rng.of(1), 256, 128);
    const mean = (values: Uint8Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const small = prepareSample(large, config).rgb as Uint8Array;
    expect(Math.abs(mean(small) - mean(large.rgb as Uint8Array))).toBeLessThan(1);
  });

  test("drops modalities that the federation does not use, but keeps depth as a target", () => {
    const bare = testConfig({ input: { size: [64, 64], modalities: ["rgb"] } });
    const prepared = prepareSample(squareSample("a", Rng.of(1)), bare);
    expect(prepared.text).toBeNull();
    expect(prepared.depth).not.toBeNull();
  });
});

describe("text", () => {
  test("is a bag of the word and its n-grams", () => {
    expect(wordFeatures("cat")).toEqual(["<cat>", "<ca", "cat", "at>", "<cat", "cat>"]);
    expect(wordFeatures("a")).toEqual(["<a>"]);
    expect(wordFeatures("interpretability").length).toBe(TEXT_FEATURES);
  });

  test("has stable buckets within the table, never the empty one", () => {
    expect(bucketOf("<cat>")).toBe(1 + (fnv("<cat>") % 8191));
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ids = tokenise(text);
        expect(ids.length).toBe(TEXT_WORDS * TEXT_FEATURES);
        expect(ids.every((id) => id >= 0 && id < TEXT_BUCKETS)).toBe(true);
      }),
    );
  });

  test("knows no case and no punctuation", () => {
    expect(tokenise("A Cat, sitting!")).toEqual(tokenise("a cat sitting"));
    expect(tokenise("").every((id) => id === 0)).toBe(true);
    expect(tokenise("word ".repeat(100)).every((id, i) => id !== 0 || i % TEXT_FEATURES !== 0)).toBe(true);
  });
});

describe("depth", () => {
  test("goes through normalisation and back", () => {
    const prepared = Float32Array.of(1, 2, 3, 6, Number.NaN);
    for (const kind of ["metric", "relative"] as const) {
      const scale = depthScale(prepared, kind, null);
      const back = denormalisedDepth(normalisedDepth(2, scale), scale, kind);
      expect(back).toBeCloseTo(kind === "metric" ? Math.exp(2) : 2, 5);
    }
  });

  test("of relative kind has zero mean and unit deviation whatever its unit, from the readings that may be seen", () => {
    const scale = depthScale(Float32Array.of(10, 20, 30, 999, Number.NaN), "relative", Uint8Array.of(0, 0, 0, 1, 0));
    expect(scale.mean).toBeCloseTo(20, 5);
    expect(scale.deviation).toBeCloseTo(Math.sqrt(200 / 3), 5);
  });
});

describe("batches", () => {
  const samples = squares(3).map((sample) => prepareSample(sample, config));
  const [sample] = samples as [(typeof samples)[number], ...typeof samples];

  function masses(view: View) {
    const batch = renderBatch([sample], [view], config);
    const { depthWeight } = batch.targets;
    const given = batch.depth.filter((_, i) => i % 2 === 1);
    const count = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0);
    return { target: count(depthWeight) * 16, input: count(given), presence: [...batch.presence] };
  }

  test("depth is a target only where it is no input", () => {
    const readings = (sample.depth as Float32Array).filter((value) => !Number.isNaN(value)).length;
    expect(masses(plainView(sample))).toEqual({ target: 0, input: readings, presence: [1, 1, 1] });
    const withheld = masses(plainView(sample, { depth: true }));
    expect(withheld.input).toBe(0);
    expect(withheld.target).toBeCloseTo(readings, 3);
    const hole = { top: 0, left: 0, bottom: 0.5, right: 0.5 };
    const holed = masses(plainView(sample, {}, [hole]));
    expect(holed.target).toBeGreaterThan(0.2 * readings);
    expect(holed.target + holed.input).toBeCloseTo(readings, 3);
  });

  test("shares of classes add up to the labelled part of each cell", () => {
    const { segmentation } = renderBatch([sample], [plainView(sample)], config).targets;
    for (let cell = 0; cell < segmentation.length / 2; cell++) {
      expect((segmentation[cell * 2] as number) + (segmentation[cell * 2 + 1] as number)).toBeCloseTo(1, 6);
    }
  });

  test("mask, depth and box stay together under augmentation", () => {
    for (let round = 0; round < 30; round++) {
      const view = randomView(sample, Rng.of("view", round), { input: false, target: true }, training);
      const { targets } = renderBatch([sample], [view], config);
      if (targets.cells.cell.length === 0) continue;
      const { left, top, right, bottom } = targets.cells;
      let inside = 0;
      let total = 0;
      for (let y = 0; y < 32; y++) {
        for (let x = 0; x < 32; x++) {
          const share = targets.segmentation[(y * 32 + x) * 2 + 1] as number;
          total += share;
          const [u, v] = [(x + 0.5) * 2, (y + 0.5) * 2];
          const within =
            u > (left[0] as number) - 2 &&
            u < (right[0] as number) + 2 &&
            v > (top[0] as number) - 2 &&
            v < (bottom[0] as number) + 2;
          if (within) inside += share;
        }
      }
      expect(inside).toBeGreaterThan(0.95 * total);
      const area = ((right[0] as number) - (left[0] as number)) * ((bottom[0] as number) - (top[0] as number));
      expect(Math.abs((total * 4) / area - 1)).toBeLessThan(0.25);
    }
  });

  test("every object has one hottest cell and weights that sum to 1", () => {
    const { heat, cells } = renderBatch([sample], [plainView(sample)], config).targets;
    expect(heat.filter((value) => value === 1).length).toBe(1);
    expect(cells.weight.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 6);
  });

  test("what is unlabelled stays empty", () => {
    const prepared = prepareSample(unlabelled(squareSample("a", Rng.of(1))), config);
    const { targets } = renderBatch([prepared], [plainView(prepared)], config);
    for (const values of [targets.segmentation, targets.heat, targets.boxesKnown, targets.depthWeight, targets.scene]) {
      expect(values.every((value) => value === 0)).toBe(true);
    }
  });

  test("a view is the same for the same stream, and one modality remains at least", () => {
    const seen = new Set<string>();
    for (let round = 0; round < 200; round++) {
      const view = randomView(sample, Rng.of(round), { input: true, target: true }, training);
      expect(view).toEqual(randomView(sample, Rng.of(round), { input: true, target: true }, training));
      expect(view.present.rgb || view.present.depth).toBe(true);
      seen.add(JSON.stringify(view.present));
    }
    expect(seen.size).toBe(6);
  });
});

function fnv(text: string): number {
  let hash = 2166136261n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 16777619n) % 2n ** 32n;
  return Number(hash);
}

describe("modality dropout", () => {
  const shares = (modalityDropout: ModalityDropout, use = { input: true, target: true }) => {
    const sample = prepareSample(squareSample("a", Rng.of(1)), config);
    const rng = Rng.of("dropout");
    const views = Array.from(
      { length: 400 },
      () => randomView(sample, rng, use, { ...training, modalityDropout }).present,
    );
    const withheld = (modality: "rgb" | "depth" | "text") =>
      views.filter((present) => !present[modality]).length / views.length;
    return { rgb: withheld("rgb"), depth: withheld("depth"), text: withheld("text") };
  };

  test("each modality is withheld as often as configured", () => {
    expect(shares({ rgb: 0, depth: 0, text: 0 })).toEqual({ rgb: 0, depth: 0, text: 0 });
    const { depth, text, rgb } = shares({ rgb: 0.5, depth: 0.2, text: 0.8 });
    expect(Math.abs(depth - 0.2)).toBeLessThan(0.07);
    expect(Math.abs(text - 0.8)).toBeLessThan(0.07);
    // Never both: a picture is withheld only from those that have depth.
    expect(Math.abs(rgb - 0.5 * 0.8)).toBeLessThan(0.08);
  });

  test("by default depth is withheld more often where it is learned", () => {
    expect(Math.abs(shares(training.modalityDropout).depth - 0.6)).toBeLessThan(0.08);
    expect(Math.abs(shares(training.modalityDropout, { input: true, target: false }).depth - 0.25)).toBeLessThan(0.08);
  });
});
