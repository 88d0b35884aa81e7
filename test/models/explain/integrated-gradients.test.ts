import { beforeAll, describe, expect, test } from "@jest/globals";
import { forward } from "../../../models/allulook4/forward.ts";
import { predict } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { explainSample } from "../../../models/explain/explain.ts";
import { integratedGradients } from "../../../models/explain/integrated-gradients.ts";
import { openSample } from "../../../models/explain/points.ts";
import type { Target } from "../../../models/explain/target.ts";
import { type Feed, feedOf } from "../../../models/feed.ts";
import { type BuiltModel, buildModel, openModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { gradientError, randomTensor } from "../check-gradient.ts";
import { squareSample, testConfig } from "../synthetic-samples.ts";
import { batchOf, knownModel, ownConfig, SIDE } from "./known-model.ts";

beforeAll(async () => {
  await loadEngine();
});

const sample = squareSample("a", Rng.of(3), SIDE, SIDE);

/** Initial biases and output kernels are near zero: random weights make every path matter. */
function shaken(built: BuiltModel): BuiltModel {
  const rng = Rng.of("explain");
  built.setParams(built.getParams().map((value) => value + 0.05 * rng.normal()));
  return built;
}

/** The same values by an operation that TensorFlow.js cannot go back through. */
function withoutGradient(map: tf.Tensor): tf.Tensor {
  return tf.stridedSlice(
    map,
    map.shape.map(() => 0),
    map.shape,
    map.shape.map(() => 1),
  );
}

describe("integrated gradients", () => {
  test("of a linear depth map are the weights times the picture, and add up exactly", async () => {
    const picture = tf.input({ shape: [SIDE, SIDE, 3], name: "picture" });
    const depth = tf.layers.conv2d({ name: "depth", filters: 1, kernelSize: 1 }).apply(picture) as tf.SymbolicTensor;
    const graph = tf.model({ inputs: picture, outputs: depth });
    const config = ownConfig(graph, { depth: { head: "depth" } }, { depth: { kind: "metric" } });
    const built = await openModel(config, 7);
    built.setParams(new Float32Array([0.5, -2, 0.25, 7]));
    const opened = openSample(built, batchOf(sample, config, built));
    const weights = new Float32Array(SIDE * SIDE);
    weights[5] = 0.75;
    weights[9] = 0.25;
    const target: Target = { head: "depth", label: "two pixels", weights, channels: 1, stride: 1 };
    const { contributions, score, absentScore, gap } = integratedGradients(opened, target, 8);
    const rgb = opened.points.get("rgb")?.at as Float32Array;
    const got = contributions.get("rgb") as Float32Array;
    for (const [k, weight] of [0.5, -2, 0.25].entries()) {
      expect(got[15 + k]).toBeCloseTo(0.75 * weight * (rgb[15 + k] as number), 5);
    }
    expect(got.filter((value) => value !== 0)).toHaveLength(6);
    expect(absentScore).toBeCloseTo(7, 5);
    expect(score - absentScore).toBeCloseTo(
      got.reduce((sum, value) => sum + value, 0),
      4,
    );
    expect(gap).toBeCloseTo(0, 4);
    built.dispose();
  });

  test("of a known scene lie where the model looks, and nowhere else", async () => {
    const { built, config } = await knownModel((row, column) => (row < 8 && column < 8 ? 0.02 : 0));
    const explained = explainSample(built, config, sample, predict(built, config, sample));
    const [{ attributions, score, absentScore, gap }] = explained.explanations as [(typeof explained.explanations)[0]];
    const { map } = attributions[0] as (typeof attributions)[0];
    expect(attributions.map(({ method, modality }) => [method, modality])).toEqual([["integratedGradients", "rgb"]]);
    for (const [i, value] of (map?.values ?? []).entries()) {
      const inside = i % 8 < 2 && Math.floor(i / 8) < 2;
      if (inside) expect(Math.abs(value)).toBeGreaterThan(0.001);
      else expect(value).toBe(0);
    }
    expect(Math.abs(gap ?? 1)).toBeLessThan(0.03 * Math.abs(score - (absentScore ?? 0)));
    expect(explained.unavailable.map(({ code }) => code)).toEqual(["MODEL_NO_ATTENTION"]);
    built.dispose();
  });

  test("of every head of Allulook4 add up over all modalities (completeness)", () => {
    const config = testConfig({ input: { size: [32, 32] } });
    const built = shaken(buildModel(config, 7));
    const prediction = predict(built, config, sample);
    const strict = { steps: 32, maxSteps: 128, tolerance: 0.03 };
    const { explanations, words } = explainSample(built, config, sample, prediction, strict);
    expect(new Set(explanations.map(({ target }) => target.head))).toEqual(
      new Set(["segmentation", "detection", "depth", "scene"]),
    );
    expect(words).toEqual(["a", "square", "on", "the", sample.scene === 0 ? "left" : "right"]);
    for (const { target, score, absentScore, shares, gap } of explanations) {
      expect([...(shares?.keys() ?? [])]).toEqual(target.head === "depth" ? ["rgb", "text"] : ["rgb", "depth", "text"]);
      const change = score - (absentScore as number);
      expect(Math.abs(change)).toBeGreaterThan(1e-4);
      const sum = [...(shares?.values() ?? [])].reduce((total, value) => total + value, 0);
      expect(sum - change).toBeCloseTo(gap as number, 4);
      expect(Math.abs(gap as number)).toBeLessThanOrEqual(0.05 * Math.max(Math.abs(change), 0.01));
    }
    built.dispose();
  }, 300_000);

  test("say so where an operation has no gradient, and the score is still there", async () => {
    const picture = tf.input({ shape: [SIDE, SIDE, 3], name: "picture" });
    const depth = tf.layers.conv2d({ name: "depth", filters: 1, kernelSize: 1 }).apply(picture) as tf.SymbolicTensor;
    const graph = tf.model({ inputs: picture, outputs: depth });
    const config = ownConfig(graph, { depth: { head: "depth" } }, { depth: { kind: "metric" } });
    const plain = await openModel(config, 7);
    const built: BuiltModel = {
      ...plain,
      apply: (feed) => new Map([...plain.apply(feed)].map(([head, map]) => [head, withoutGradient(map)])),
    };
    const { explanations, unavailable } = explainSample(built, config, sample, predict(built, config, sample));
    expect(unavailable.map(({ code }) => code)).toEqual(["MODEL_NO_ATTENTION", "MODEL_NO_GRADIENT"]);
    expect(explanations).toMatchObject([{ absentScore: null, shares: null, attributions: [] }]);
    expect(Number.isFinite(explanations[0]?.score)).toBe(true);
    built.dispose();
  });
});

describe("gradients of Allulook4 by its inputs", () => {
  test.each(["rgb", "depth"] as const)("%s: as finite differences", (name) => {
    const config = testConfig({ input: { size: [32, 32] } });
    const built = shaken(buildModel(config, 7));
    const own = feedOf(batchOf(sample, config, built));
    const f = (x: tf.Tensor) => {
      const feed: Feed = (input) => (input === name ? x : own(input));
      const outputs = built.apply(feed);
      return tf.concat(
        [...outputs.values()]
          .map((map) => tf.mean(map, [...map.shape.keys()].slice(1, -1)))
          .map((map) => tf.reshape(map, [-1])),
      );
    };
    const at = tf.add(own(name), randomTensor(Rng.of(5), [1, 32, 32, name === "rgb" ? 3 : 2], 0.3));
    expect(gradientError(f, [at], Rng.of(6), 2e-3)).toBeLessThan(0.02);
    built.dispose();
  });

  test("the stems' way back costs nothing in training, and the values are the same", () => {
    const config = testConfig({ input: { size: [32, 32] } });
    const built = shaken(buildModel(config, 7));
    const batch = batchOf(sample, config, built);
    const values = (training: boolean) =>
      tf.tidy(() => [...built.forward(batch, training)].map(([head, map]) => [head, [...map.dataSync()]]));
    expect(values(true)).toEqual(values(false));
    const own = feedOf(batch);
    const scene = (training: boolean) => (rgb: tf.Tensor) => {
      const outputs = forward(built.model, (name) => (name === "rgb" ? rgb : own(name)), training);
      return tf.sum(outputs.get("scene") as tf.Tensor);
    };
    expect(() => tf.grad(scene(true))(own("rgb"))).toThrow("gradient");
    expect(tf.max(tf.abs(tf.grad(scene(false))(own("rgb")))).dataSync()[0]).toBeGreaterThan(0);
    built.dispose();
  });
});
