import { beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { predict } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { explainSample } from "../../../models/explain/explain.ts";
import { areasOf, orderOf, PATCH, patches, randomOrder } from "../../../models/explain/faithfulness.ts";
import { openSample } from "../../../models/explain/points.ts";
import type { Target } from "../../../models/explain/target.ts";
import { testMaps, testTable } from "../../../models/explain/test-maps.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, squareSample, testConfig } from "../synthetic-samples.ts";
import { batchOf, knownModel, SIDE } from "./known-model.ts";

beforeAll(async () => {
  await loadEngine();
});

describe("the deletion and insertion test on a model whose reasons are known", () => {
  const bright = { ...squareSample("a", Rng.of(3), SIDE, SIDE), rgb: new Uint8Array(SIDE * SIDE * 3).fill(255) };
  const target: Target = {
    head: "scene",
    label: "bright",
    weights: new Float32Array([0, 1]),
    channels: 2,
    stride: null,
  };

  test("the true order is better than any other, its reverse worse than random, areas as computed by hand", async () => {
    // Only the first patch counts: with it the logit is large, without it 0.
    const { built, config } = await knownModel((row, column) => (row < PATCH && column < PATCH ? 0.05 : 0));
    const opened = openSample(built, batchOf(bright, config, built));
    const parts = patches({ height: SIDE, width: SIDE, contentHeight: SIDE, contentWidth: SIDE }, 3);
    expect(parts.count).toBe(16);
    const first = Array.from({ length: 16 }, (_, i) => i);
    const orders = [first, first.toReversed(), ...Array.from({ length: 8 }, (_, i) => randomOrder(16, Rng.of(i)))];
    const [best, worst, ...random] = areasOf(opened, target, "rgb", parts, orders, 5).map(
      ({ deletion }) => deletion,
    ) as [number, number, ...number[]];
    // Of ten steps the first takes the patch out: 1, then .5 ten times; the last step does in the other order.
    expect(best).toBeCloseTo((0.5 + 9 * 0.5 + 0.25) / 10, 3);
    expect(worst).toBeCloseTo((0.5 + 9 + 0.25) / 10, 3);
    const mean = random.reduce((a, b) => a + b) / random.length;
    expect(best).toBeLessThan(mean - 0.1);
    expect(worst).toBeGreaterThan(mean + 0.1);
    built.dispose();
  });

  test("integrated gradients find the true order", async () => {
    const { built, config } = await knownModel((row, column) =>
      (row + 3 * column) % 7 === 0 && column < 12 ? 0.02 : 0,
    );
    const explained = explainSample(built, config, bright, predict(built, config, bright));
    const [row] = testTable(testMaps(explained, 8, Rng.of(1)));
    expect(row).toMatchObject({ head: "scene", modality: "rgb", method: "integratedGradients", maps: 1, better: 1 });
    expect(row?.gain).toBeGreaterThan(0.15);
    built.dispose();
  });

  test("orders: falling importance, each part once", () => {
    expect([...orderOf([0.1, 3, -2, 1], Rng.of(1))]).toEqual([1, 3, 0, 2]);
    expect([...randomOrder(50, Rng.of(2))].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const ties = new Set(Array.from({ length: 20 }, (_, i) => orderOf([1, 1, 1], Rng.of(i))[0]));
    expect(ties.size).toBe(3);
  });
});

const BRIEF = { steps: 16, maxSteps: 32, tolerance: 0.05 };

/** The square is seen in the depth map alone, its side is told in the caption alone. */
function blank(sample: Sample): Sample {
  return { ...sample, rgb: new Uint8Array(sample.width * sample.height * 3).fill(128) };
}

test("a briefly trained Allulook4: maps beat random ones and name the modality and the word that decide", async () => {
  const config = testConfig({
    labels: { segmentation: ["background", "square"], scene: ["left", "right"], depth: { kind: "none" } },
    training: { localSteps: 60, batchSize: 4, optimizer: { name: "adam", learningRate: 0.004 } },
  });
  const samples = squares(16).map(blank);
  const built = buildModel(config, 7);
  const split = { train: samples.map((_, i) => i), evaluation: [] };
  const trainer = await createTrainer({ config, dataset: datasetOfSamples(samples), clientName: "a", seed: 7, split });
  const params = built.getParams();
  const work = {
    params,
    round: 1,
    rng: Rng.of("modalities"),
    signal: new AbortController().signal,
    onProgress: () => {},
  };
  const { delta } = await trainer.train(work);
  trainer.dispose();
  built.setParams(params.map((value, i) => value + (delta[i] as number)));
  const tested = squares(4, 2)
    .map(blank)
    .flatMap((sample) => {
      const explained = explainSample(built, config, sample, predict(built, config, sample), BRIEF);
      for (const { target, shares, attributions } of explained.explanations) {
        const decides = target.head === "scene" ? "text" : "depth";
        const sizes = [...(shares ?? [])].map(([modality, value]) => [modality, Math.abs(value)] as const);
        expect(sizes.toSorted((a, b) => b[1] - a[1])[0]?.[0]).toBe(decides);
        if (target.head !== "scene") continue;
        const words = attributions.find(
          ({ method, modality }) => method === "integratedGradients" && modality === "text",
        )?.words;
        const word = words?.[explained.words.indexOf(target.label)] as number;
        expect(word).toBeGreaterThan(0);
        expect(words?.filter((other) => other > word).length).toBeLessThanOrEqual(1);
      }
      return testMaps(explained, 2, Rng.of(1));
    });
  const row = (head: string, modality: string, method: string) =>
    testTable(tested).find((one) => one.head === head && one.modality === modality && one.method === method);
  expect(row("segmentation", "depth", "integratedGradients")?.better).toBeGreaterThanOrEqual(3);
  expect(row("segmentation", "depth", "integratedGradients")?.gain).toBeGreaterThan(0.05);
  expect(row("scene", "text", "integratedGradients")?.gain).toBeGreaterThan(0.05);
  built.dispose();
}, 300_000);
