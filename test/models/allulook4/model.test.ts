import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { buildAllulook4 } from "../../../models/allulook4/build.ts";
import { forward } from "../../../models/allulook4/forward.ts";
import { positionEmbedding } from "../../../models/allulook4/layers/transformer.ts";
import { predict } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { feedOf } from "../../../models/feed.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { type Batch, renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { type BuiltModel, buildModel } from "../../../models/registry.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squares, squareSample, testConfig } from "../synthetic-samples.ts";

const built: BuiltModel[] = [];

beforeAll(async () => {
  await loadEngine();
});
afterEach(() => {
  for (const model of built.splice(0)) model.dispose();
});

function make(config: FederationConfig): BuiltModel {
  const model = buildModel(config, 7);
  built.push(model);
  return model;
}

function batchOf(config: FederationConfig, count = 2): Batch {
  const samples = squares(count).map((sample) => prepareSample(sample, config));
  return renderBatch(
    samples,
    samples.map((sample) => plainView(sample)),
    config,
  );
}

function outputs(model: tf.LayersModel, batch: Batch): Record<string, number[]> {
  const all: Record<string, number[]> = {};
  tf.tidy(() => {
    for (const [head, tensor] of forward(model, feedOf(batch), false)) all[head] = [...tensor.dataSync()];
  });
  return all;
}

describe("the graph", () => {
  test.each([
    ["nano", 0.29],
    ["tiny", 1.9],
    ["small", 7.9],
    ["base", 27.5],
  ] as const)("%s has about %f million params", (preset, millions) => {
    const labels = { detection: ["a", "b"], segmentation: ["a", "b", "c"], scene: ["a", "b"] };
    const model = buildAllulook4(testConfig({ model: { preset }, labels }));
    expect(Math.abs(model.countParams() / 1e6 / millions - 1)).toBeLessThan(0.03);
    model.dispose();
  });

  test("holds only what the federation has labels and modalities for", () => {
    const config = testConfig({
      labels: { segmentation: ["a", "b"], depth: { kind: "none" } },
      input: { size: [64, 64], modalities: ["rgb"] },
    });
    const { model } = make(config);
    expect(model.inputNames).toEqual(["rgb", "presence"]);
    expect(model.outputNames).toEqual(["head_segmentation"]);
  });

  test("starts from the seed alone", () => {
    const config = testConfig();
    const [a, b] = [make(config).getParams(), make(config).getParams()];
    const other = buildModel(config, 8);
    expect([...a]).toEqual([...b]);
    expect([...other.getParams()]).not.toEqual([...a]);
    other.dispose();
  });

  test("gives back the params it is given, by position", () => {
    const model = make(testConfig());
    const rng = Rng.of("params");
    const params = Float32Array.from({ length: model.layout.length }, () => rng.uniform());
    model.setParams(params);
    expect([...model.getParams()]).toEqual([...params]);
    expect(() => model.setParams(params.subarray(1))).toThrow(expect.objectContaining({ code: "PARAMS_SHAPE" }));
  });

  test("refuses an unknown model", () => {
    const config = testConfig({ model: { name: "no-such-model" } });
    expect(() => buildModel(config, 7)).toThrow(expect.objectContaining({ code: "MODEL_UNKNOWN" }));
  });

  test("survives saving and loading to the bit", async () => {
    const config = testConfig();
    const { model } = make(config);
    let saved: tf.io.ModelArtifacts | null = null;
    await model.save(
      tf.io.withSaveHandler((artifacts) => {
        saved = JSON.parse(JSON.stringify({ ...artifacts, weightData: null })) as tf.io.ModelArtifacts;
        saved = { ...saved, weightData: artifacts.weightData as ArrayBuffer };
        return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } });
      }),
    );
    const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved as unknown as tf.io.ModelArtifacts));
    const batch = batchOf(config);
    expect(outputs(loaded, batch)).toEqual(outputs(model, batch));
    loaded.dispose();
  });

  test("runs on any size that is a multiple of the stride, whatever it was built for", () => {
    const { model } = make(testConfig());
    const wide = batchOf(testConfig({ input: { size: [96, 160] } }), 1);
    const heads = outputs(model, wide);
    expect(heads["segmentation"]?.length).toBe(48 * 80 * 2);
    expect(heads["detection"]?.length).toBe(24 * 40 * 5);
    expect(heads["depth"]?.length).toBe(24 * 40);
  });
});

describe("modalities", () => {
  const config = testConfig();

  /** The same batch with one input and its presence replaced. */
  function changed(batch: Batch, change: Partial<Batch>, column: number, present: 0 | 1): Batch {
    const presence = batch.presence.slice();
    for (let i = column; i < presence.length; i += 3) presence[i] = present;
    return { ...batch, ...change, presence };
  }

  test.each([
    ["depth", 1],
    ["text", 2],
  ] as const)("an absent %s has no influence, a present one does", (modality, column) => {
    const { model } = make(config);
    const batch = batchOf(config);
    const other =
      modality === "depth"
        ? { depth: batch.depth.map((value, i) => (i % 2 === 0 ? 1 - value : value)) }
        : { text: batch.text.map((id) => (id === 0 ? 0 : 1 + (id % 100))) };
    const absent = outputs(model, changed(batch, {}, column, 0));
    expect(outputs(model, changed(batch, other, column, 0))).toEqual(absent);
    const present = outputs(model, changed(batch, {}, column, 1));
    expect(present).not.toEqual(absent);
    expect(outputs(model, changed(batch, other, column, 1))).not.toEqual(present);
  });

  test("positions differ and do not depend on the map's size", () => {
    const small = positionEmbedding(2, 3, 8);
    const large = positionEmbedding(5, 3, 8);
    expect([...large.subarray(0, small.length)]).toEqual([...small]);
    const rows = Array.from({ length: 15 }, (_, i) => large.subarray(i * 8, i * 8 + 8).join());
    expect(new Set(rows).size).toBe(15);
  });
});

describe("predictions", () => {
  test("have the size of the picture, whatever the model's size is", () => {
    const config = testConfig({ input: { size: [50, 70] } });
    const model = make(config);
    const sample = squareSample("one.png", Rng.of(3), 101, 47);
    // The first run makes the constants that are kept for good.
    predict(model, config, sample);
    const before = tf.memory().numTensors;
    const result = predict(model, config, sample);
    expect(tf.memory().numTensors).toBe(before);
    expect(result).toMatchObject({ width: 101, height: 47 });
    expect(result.classMap?.length).toBe(101 * 47);
    expect(result.depth?.length).toBe(101 * 47);
    for (const map of [result.confidence, result.heat]) {
      expect(map?.length).toBe(101 * 47);
      expect(map?.every((probability) => probability >= 0 && probability <= 1)).toBe(true);
    }
    expect(result.depth?.every((meters) => meters > 0)).toBe(true);
    expect(result.scene?.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    for (const { x, y, width, height, score } of result.detections ?? []) {
      expect(x >= 0 && y >= 0 && x + width <= 101.001 && y + height <= 47.001).toBe(true);
      expect(score).toBeGreaterThanOrEqual(0.01);
    }
  });

  test("come without RGB from depth, and without depth from RGB", () => {
    const config = testConfig();
    const model = make(config);
    const sample = squareSample("one.png", Rng.of(3));
    const all = predict(model, config, sample);
    const blind = predict(model, config, { ...sample, rgb: null });
    const flat = predict(model, config, sample, { depth: true });
    const none = predict(model, config, { ...sample, depth: null });
    expect(blind.depth).not.toEqual(all.depth);
    expect([...(flat.depth ?? [])]).toEqual([...(none.depth ?? [])]);
  });
});
