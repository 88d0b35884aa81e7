import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { predict } from "../../../models/allulook4/predict.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { type BuiltModel, openModel } from "../../../models/registry.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import type { OwnModel } from "../../../shared/config/own-model.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, squareSample, testConfig } from "../synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

const node = (layer: tf.layers.Layer, input: tf.SymbolicTensor) => layer.apply(input) as tf.SymbolicTensor;

/** A model of two convolutions with everything in it that is special: statistics, dropout, a frozen layer, a penalty. */
function graph(): tf.LayersModel {
  const picture = tf.input({ shape: [null, null, 3], name: "picture" });
  let x = node(tf.layers.conv2d({ name: "first", filters: 4, kernelSize: 3, padding: "same" }), picture);
  x = node(tf.layers.batchNormalization({ name: "norm" }), x);
  x = node(tf.layers.dropout({ name: "dropout", rate: 0.3 }), x);
  x = node(tf.layers.conv2d({ name: "frozen", filters: 4, kernelSize: 1, trainable: false }), x);
  const mask = node(
    tf.layers.conv2d({ name: "mask", filters: 2, kernelSize: 2, strides: 2, kernelRegularizer: "l1l2" }),
    x,
  );
  const metres = node(tf.layers.conv2d({ name: "metres", filters: 1, kernelSize: 1, activation: "softplus" }), x);
  return tf.model({ inputs: picture, outputs: [mask, metres] });
}

function own(over: Partial<OwnModel> = {}, model: tf.LayersModel = graph()): OwnModel {
  const topology = model.toJSON(null, false) as unknown as OwnModel["topology"];
  model.dispose();
  return {
    topology,
    inputs: { picture: { modality: "rgb", values: "unit" } },
    outputs: { mask: { head: "segmentation" }, metres: { head: "depth", gives: "metres" } },
    weights: null,
    ...over,
  };
}

function configOf(model: OwnModel, over: Record<string, unknown> = {}): FederationConfig {
  return testConfig({
    model: { name: "mine", init: "mine.yaml", own: model },
    labels: { segmentation: ["ground", "square"], depth: { kind: "metric" } },
    input: { size: [40, 52], modalities: ["rgb"] },
    training: { localSteps: 6, batchSize: 2, optimizer: { learningRate: 0.01 } },
    ...over,
  });
}

const refused = (model: OwnModel, code: string, over: Record<string, unknown> = {}) =>
  expect(openModel(configOf(model, over), 7)).rejects.toMatchObject({ code });

describe("a model of one's own", () => {
  test("has the strides of its maps, any size, and the seed's initial weights", async () => {
    const config = configOf(own());
    const [a, b, c] = await Promise.all([openModel(config, 7), openModel(config, 7), openModel(config, 8)]);
    expect(a.strides).toEqual({ segmentation: 2, depth: 1 });
    expect(a.getParams()).toEqual(b.getParams());
    expect(a.getParams()).not.toEqual(c.getParams());
    expect(a.layout.tensors.map(({ name }) => name).slice(-4)).toEqual([
      "norm/moving_mean",
      "norm/moving_variance",
      "frozen/kernel",
      "frozen/bias",
    ]);
    const sample = squareSample("a", Rng.of(1));
    const seen = predict(a, config, sample);
    expect(seen.classMap?.length).toBe(sample.width * sample.height);
    expect(Math.min(...(seen.depth ?? []))).toBeGreaterThan(0);
    for (const built of [a, b, c]) built.dispose();
  });

  test("outputs mean what its YAML says", async () => {
    const x = tf.input({ shape: [null, null, 3], name: "picture" });
    const mean = node(tf.layers.conv2d({ name: "mask", filters: 1, kernelSize: 1, activation: "sigmoid" }), x);
    const metres = node(tf.layers.conv2d({ name: "metres", filters: 1, kernelSize: 1, useBias: false }), x);
    const model = tf.model({ inputs: x, outputs: [mean, metres] });
    const config = configOf(
      own(
        {
          inputs: { picture: { modality: "rgb", values: "bytes" } },
          outputs: {
            mask: { head: "segmentation", gives: "probabilities" },
            metres: { head: "depth", gives: "metres" },
          },
        },
        model,
      ),
    );
    const built = await openModel(config, 7);
    // mask: sigmoid(-1) everywhere; metres: a hundredth of the red byte.
    const params = new Float32Array(built.layout.length);
    params[built.layout.tensors.find(({ name }) => name === "mask/bias")?.offset ?? -1] = -1;
    params[built.layout.tensors.find(({ name }) => name === "metres/kernel")?.offset ?? -1] = 0.01;
    built.setParams(params);
    const sample = prepareSample(squareSample("a", Rng.of(1)), config);
    const batch = renderBatch([sample], [plainView(sample)], config, built.strides);
    tf.tidy(() => {
      const maps = built.forward(batch, false);
      const [outside, inside] = [...(maps.get("segmentation") as tf.Tensor).dataSync()];
      expect(outside).toBeCloseTo(Math.log(1 / (1 + Math.exp(-1))), 5);
      expect(inside).toBeCloseTo(Math.log(1 / (1 + Math.exp(1))), 5);
      const [depth] = [...(maps.get("depth") as tf.Tensor).dataSync()];
      expect(depth).toBeCloseTo(Math.log(((sample.rgb as Uint8Array)[0] as number) / 100) - 1, 4);
    });
    built.dispose();
  });

  test("is trained repeatably: statistics move, what is frozen stays, the loss falls", async () => {
    const config = configOf(own());
    const built = await openModel(config, 7);
    const params = built.getParams();
    const losses: number[] = [];
    const deltas: Float32Array[] = [];
    for (let run = 0; run < 2; run++) {
      const trainer = await createTrainer({
        config: configOf(own(), { training: { ...config.training, localSteps: 30 } }),
        dataset: datasetOfSamples(squares(6)),
        clientName: "site-a",
        seed: 7,
      });
      const { delta } = await trainer.train({
        params,
        round: 1,
        rng: Rng.of(7, "train"),
        signal: new AbortController().signal,
        onProgress: ({ loss }) => losses.push(loss),
      });
      deltas.push(delta);
      trainer.dispose();
    }
    expect(deltas[0]).toEqual(deltas[1]);
    const moved = (name: string) => {
      const slot = built.layout.tensors.find((tensor) => tensor.name === name);
      const { offset = 0, size = 0 } = slot ?? {};
      return deltas[0]?.subarray(offset, offset + size).some((value) => value !== 0);
    };
    expect(moved("first/kernel")).toBe(true);
    expect(moved("norm/moving_mean")).toBe(true);
    expect(moved("norm/moving_variance")).toBe(true);
    expect(moved("frozen/kernel")).toBe(false);
    const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(25, 30))).toBeLessThan(mean(losses.slice(0, 5)) - 0.1);
    built.dispose();
  });

  test("keeps no tensor when it is refused or given away", async () => {
    const before = tf.memory().numTensors;
    (await openModel(configOf(own()), 7)).dispose();
    await refused(own({ outputs: { mask: { head: "segmentation" } } }), "MODEL_INTERFACE");
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("what is refused", () => {
  test("layers that are none of TensorFlow.js's, by name", async () => {
    const model = own();
    const text = JSON.stringify(model.topology);
    for (const [from, to] of [
      ["Dropout", "Lambda"],
      ["BatchNormalization", "AllulookConvolution"],
      ["Dropout", "GaussianNoise"],
      ["VarianceScaling", "FromTheNetwork"],
    ] as const) {
      const topology = JSON.parse(text.replaceAll(`"${from}"`, `"${to}"`)) as OwnModel["topology"];
      const failed = openModel(configOf({ ...model, topology }), 7);
      await expect(failed).rejects.toMatchObject({ code: "MODEL_LAYER", details: { layer: to } });
    }
  });

  test("a graph that calls its layers more often than any model does, before it is put together", async () => {
    const one = own();
    const calls = Array.from({ length: 10_000 }, (_, i) => [["norm", i, 0, {}]]);
    const text = JSON.stringify(one.topology).replace(
      '"inbound_nodes":[[["norm",0,0,{}]]]',
      `"inbound_nodes":${JSON.stringify(calls)}`,
    );
    expect(text).toContain('["norm",9999,0,{}]');
    const topology = JSON.parse(text) as OwnModel["topology"];
    await expect(openModel(configOf({ ...one, topology }), 7)).rejects.toThrow(/called more than/);
  });

  test("what TensorFlow.js cannot build", async () => {
    const model = own();
    const text = JSON.stringify(model.topology);
    const changed = (from: string, to: string): OwnModel => ({
      ...model,
      topology: JSON.parse(text.replace(from, to)) as OwnModel["topology"],
    });
    await refused(changed('"padding":"same"', '"padding":"sideways"'), "MODEL_TOPOLOGY");
    await refused(changed('"softplus"', '"explode"'), "MODEL_TOPOLOGY");
    // TensorFlow.js would wait for this layer for ever.
    await refused(changed('"name":"picture"', '"name":"photo"'), "MODEL_TOPOLOGY");
    await refused(changed('["first",0,0,{}]', '["first",1,0,{}]'), "MODEL_TOPOLOGY");
    await refused(changed('"dilation_rate":[1,1]', '"dilation_rate":[2,2]'), "MODEL_LAYER");
    // TensorFlow.js would take these for class_name, inbound_nodes and dilation_rate.
    for (const field of ["className", "class__name", "inboundNodes", "dilationRate", "class_name_"]) {
      await refused(changed('"class_name"', `"${field}":"Lambda","class_name"`), "MODEL_TOPOLOGY");
    }
  });

  test("more weights or values than a site should hold, before they are made", async () => {
    const before = tf.memory().numBytes;
    const x = tf.input({ shape: [8], name: "x" });
    const dense = node(tf.layers.dense({ name: "mask", units: 4 }), x);
    const small = tf.model({ inputs: x, outputs: dense });
    const text = JSON.stringify(small.toJSON(null, false));
    small.dispose();
    const topology = JSON.parse(text.replace('"units":4', '"units":100000000')) as OwnModel["topology"];
    await refused({ ...own(), topology }, "MODEL_LARGE");
    const wide = JSON.stringify(own().topology).replace('"filters":4', '"filters":400000');
    await refused({ ...own(), topology: JSON.parse(wide) as OwnModel["topology"] }, "MODEL_LARGE");
    // The same values in a model inside the model.
    const inside = tf.sequential({ name: "inside" });
    inside.add(tf.layers.conv2d({ name: "wide", filters: 4, kernelSize: 1, inputShape: [40, 52, 3] }));
    inside.add(tf.layers.conv2d({ name: "narrow", filters: 2, kernelSize: 1 }));
    const picture = tf.input({ shape: [40, 52, 3], name: "picture" });
    const nested = own({}, tf.model({ inputs: picture, outputs: node(inside, picture) }));
    const hidden = JSON.stringify(nested.topology).replace('"filters":4', '"filters":400000');
    await refused({ ...nested, topology: JSON.parse(hidden) as OwnModel["topology"] }, "MODEL_LARGE");
    expect(tf.memory().numBytes).toBeLessThan(before + 100e6);
  });

  test("whatever else is changed in a topology: it opens, or the error has a code", async () => {
    const text = JSON.stringify(own().topology);
    const values = [null, -1, 0, 1e9, 2.5, "", "linear", [], {}, true, [[1]], "__proto__"];
    const places = [...text.matchAll(/"(\w+)":/g)].length;
    await fc.assert(
      fc.asyncProperty(fc.nat(places - 1), fc.constantFrom(...values), async (place, value) => {
        let at = -1;
        const topology = JSON.parse(text, (key, old: unknown) => {
          if (key !== "" && !/^\d+$/.test(key)) at++;
          return at === place && key !== "" && !/^\d+$/.test(key) ? value : old;
        }) as OwnModel["topology"];
        const before = tf.memory().numBytes;
        const opened = await openModel(configOf({ ...own(), topology }), 7).catch((error: unknown) => error);
        if (opened instanceof Error) expect(opened).toMatchObject({ code: expect.stringMatching(/^MODEL_/) });
        else (opened as BuiltModel).dispose();
        expect(tf.memory().numBytes).toBeLessThan(before + 600e6);
      }),
      { numRuns: 150, seed: 4 },
    );
  });

  test("a loss that no table has, by name", async () => {
    const training = { losses: { segmentation: ["hope"] } };
    await refused(own(), "MODEL_PART", { training });
    await expect(openModel(configOf(own(), { training }), 7)).rejects.toThrow(/losses\.segmentation.*hope/);
  });

  test("inputs and outputs that are not what the YAML says", async () => {
    const rgb = { modality: "rgb", values: "unit" } as const;
    await refused(own({ inputs: { photo: rgb } }), "MODEL_INTERFACE");
    await refused(own({ inputs: { picture: { ...rgb, modality: "depth" } } }), "MODEL_INTERFACE");
    await refused(own({ outputs: { mask: { head: "depth" }, metres: { head: "scene" } } }), "MODEL_INTERFACE");
    const labels = { segmentation: ["ground", "square", "circle"], depth: { kind: "metric" } };
    await refused(own(), "MODEL_INTERFACE", { labels });
  });
});
