import { beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { predict } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { buildModel } from "../../../models/registry.ts";
import { buildDepth2d, buildDepth2dEdges } from "../../../models/zoo/depth-2d.ts";
import { buildDepthSense } from "../../../models/zoo/depth-sense.ts";
import { buildDepthnet } from "../../../models/zoo/depthnet.ts";
import { buildDpt } from "../../../models/zoo/dpt.ts";
import { type FederationConfig, federationConfig } from "../../../shared/config/federation.ts";
import { MODEL_NAMES, withModelDefaults } from "../../../shared/config/models.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, squareSample } from "../synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

const ZOO = MODEL_NAMES.filter((name) => name !== "allulook4");

function configOf(name: string, preset = "nano", over: Record<string, unknown> = {}): FederationConfig {
  const raw = { federation: "zoo", model: { name, preset }, labels: { depth: { kind: "relative" } }, ...over };
  return federationConfig.parse(withModelDefaults(raw));
}

describe.each(ZOO)("%s", (name) => {
  test("is a LayersModel that saves and loads, and begins the same everywhere", async () => {
    const config = configOf(name);
    const [built, again] = [buildModel(config, 7), buildModel(config, 7)];
    expect(again.layout).toEqual(built.layout);
    expect(again.getParams()).toEqual(built.getParams());
    let saved: tf.io.ModelArtifacts = {};
    await built.model.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
      }),
    );
    const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved));
    const [height, width] = config.input.size;
    const picture = tf.randomUniform([1, height, width, 3], -1, 1, "float32", 3);
    const seen = (model: tf.LayersModel) => {
      const output = model.predict(picture) as tf.Tensor | tf.Tensor[];
      return [...((Array.isArray(output) ? output[0] : output) as tf.Tensor).dataSync()];
    };
    expect(seen(loaded)).toEqual(seen(built.model));
    for (const model of [built.model, again.model, loaded]) model.dispose();
  });

  test("predicts depth in the picture's size", () => {
    const config = configOf(name);
    const built = buildModel(config, 7);
    const { depth, detections, classMap, scene } = predict(built, config, squareSample("a", Rng.of(1), 90, 70));
    expect(depth).toHaveLength(90 * 70);
    expect(depth?.every((value) => Number.isFinite(value))).toBe(true);
    expect([detections, classMap, scene]).toEqual([null, null, null]);
    built.dispose();
  });

  if (name === "depth-2d-edges") return; // Its two stages have a test of their own.

  test("learns: every trained weight moves and the loss falls", async () => {
    const config = configOf(name);
    const training = { ...config.training, batchSize: 2, localSteps: 12 };
    const built = buildModel(config, 7);
    const trainer = await createTrainer({
      config: { ...config, training },
      dataset: datasetOfSamples(squares(10)),
      clientName: "site-a",
      seed: 7,
    });
    const losses: number[] = [];
    const { delta } = await trainer.train({
      params: built.getParams(),
      round: 1,
      rng: Rng.of(7, "train"),
      signal: new AbortController().signal,
      onProgress: ({ loss }) => losses.push(loss),
    });
    const still = trainer.layout.tensors.filter(({ offset, size }) =>
      delta.subarray(offset, offset + size).every((value) => value === 0),
    );
    expect(still.map((slot) => slot.name)).toEqual([]);
    const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-3))).toBeLessThan(0.95 * mean(losses.slice(0, 3)));
    trainer.dispose();
    built.dispose();
  });
});

test.each([
  ["dpt", buildDpt, 27],
  ["depth-sense", buildDepthSense, 6.46],
  ["depthnet", buildDepthnet, 0.39],
  ["depth-2d", buildDepth2d, 0.41],
  ["depth-2d-edges", buildDepth2dEdges, 0.82],
] as const)("%s in base is as large as described", (name, build, millions) => {
  const model = build(configOf(name, "base"));
  expect(model.countParams() / 1e6).toBeCloseTo(millions, 1);
  model.dispose();
});

test("depthnet's loss weighs with one over twice the mean of the pictures", () => {
  const config = configOf("depthnet");
  const built = buildModel(config, 7);
  const bright = prepareSample({ ...squareSample("a", Rng.of(1)), rgb: new Uint8Array(80 * 60 * 3).fill(204) }, config);
  const { geometry } = bright;
  expect([geometry.contentHeight, geometry.contentWidth]).toEqual([geometry.height, geometry.width]);
  const batch = renderBatch([bright], [plainView(bright)], config, built.strides);
  expect(built.lossScale?.(batch)).toBeCloseTo(1 / (2 * 0.8), 3);
  built.dispose();
});
