import { beforeAll, describe, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import type { OutputHead } from "../../../models/allulook4/build.ts";
import { MeanDepthMap } from "../../../models/metrics/depth.ts";
import { evaluateExactly, evaluateSites, type SiteSamples } from "../../../models/metrics/evaluate.ts";
import { ALLULOOK4_STRIDES } from "../../../models/preprocess/batch.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import type { RunnableModel } from "../../../models/runnable.ts";
import { squares, testConfig, unlabelled } from "../synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

const config = testConfig();

/** Knows the answers: its maps are the targets. Scenes are right where the square's sample has a depth map to give. */
const oracle: RunnableModel = {
  strides: ALLULOOK4_STRIDES,
  forward(batch) {
    const { segmentation, heat, depth, scene } = batch.targets;
    const { height, width } = batch.geometry;
    const at = (stride: number) => [batch.size, height / stride, width / stride] as const;
    const sides = tf.mul(tf.ones([...at(4), 4]), Math.log(10 / 16));
    const logits = tf.mul(tf.sub(tf.tensor4d(heat, [...at(4), 1]), 0.5), 20);
    return new Map<OutputHead, tf.Tensor>([
      ["segmentation", tf.mul(tf.tensor4d(segmentation, [...at(2), 2]), 8)],
      ["detection", tf.concat([logits, sides], 3)],
      ["depth", tf.tensor4d(depth, [...at(4), 1])],
      ["scene", tf.mul(tf.tensor2d(scene, [batch.size, 2]), 3)],
    ]);
  },
};

const site = (name: string, samples: readonly Sample[]): SiteSamples => ({
  site: name,
  count: samples.length,
  load: (index) => Promise.resolve(samples[index] as Sample),
});
const OPTIONS = { batchSize: 2, meanDepth: null };

describe("an evaluation of data at hand", () => {
  test("scores every site for itself and all samples together", async () => {
    const samples = squares(7);
    const seen: number[] = [];
    const { pooled, sites } = await evaluateSites(
      oracle,
      config,
      [site("north", samples.slice(0, 3)), site("south", samples.slice(3))],
      OPTIONS,
      (done) => seen.push(done),
    );
    expect(sites.map((one) => [one.site, one.evaluation.examples])).toEqual([
      ["north", 3],
      ["south", 4],
    ]);
    expect(seen).toEqual([2, 3, 5, 7]);
    const whole = await evaluateExactly(oracle, config, 7, site("all", samples).load, OPTIONS);
    expect(pooled.metrics()).toEqual(whole);
    expect(pooled.examples).toBe(7);
    const { segmentation, scene, detection, depth } = whole;
    expect(scene).toMatchObject({ accuracy: 1, auroc: 1, sensitivity: 1, specificity: 1 });
    expect(segmentation?.["mIoU"]).toBeGreaterThan(0.9);
    expect(detection?.["recall"]).toBeGreaterThan(0.5);
    expect(detection?.["AP50"]).toBeGreaterThan(detection?.["AP75"] as number);
    expect(depth?.["absRel"]).toBeLessThan(0.1);
    // e^3 against 1: sure to .953, and always right.
    expect(scene?.["ece"]).toBeCloseTo(1 - 1 / (1 + Math.exp(-3)), 5);
  });

  test("tells per class: members, confusion, curves", async () => {
    const samples = squares(6);
    const { pooled } = await evaluateSites(oracle, config, [site("one", samples)], OPTIONS);
    const { segmentation, scene, detection } = pooled.details();
    const left = samples.filter((sample) => sample.scene === 0).length;
    expect(scene?.confusion).toEqual([
      [left, 0],
      [0, 6 - left],
    ]);
    expect(scene?.curves.map(({ name, averagePrecision }) => [name, averagePrecision])).toEqual([
      ["left", 1],
      ["right", 1],
    ]);
    expect(scene?.curves[0]?.rocCurve).toEqual(Array.from({ length: 101 }, () => 1));
    expect(segmentation?.classes.map(({ name }) => name)).toEqual(["ground", "square"]);
    expect(segmentation?.classes.reduce((sum, { truth }) => sum + truth, 0)).toBe(6 * 80 * 60);
    expect(segmentation?.calibration.reduce((sum, { count }) => sum + count, 0)).toBe(6 * 80 * 60);
    expect(detection?.classes[0]).toMatchObject({ name: "square", objects: 6 });
    expect(detection?.classes[0]?.curve50).toHaveLength(101);
  });

  test("shows only heads with labels", async () => {
    const samples = squares(2).map(unlabelled);
    const { pooled } = await evaluateSites(oracle, config, [site("one", samples)], OPTIONS);
    expect([pooled.metrics(), pooled.details()]).toEqual([{}, {}]);
  });

  test("scores the mean depth map of the training pictures beside the model", async () => {
    const samples = squares(3);
    const meanDepth = new MeanDepthMap(64, 64);
    for (const { depth, width, height } of samples) if (depth !== null) meanDepth.add(depth, width, height);
    const { depth } = await evaluateExactly(oracle, config, 3, site("all", samples).load, { ...OPTIONS, meanDepth });
    expect(depth?.["baselineRmse"]).toBeGreaterThan(depth?.["rmse"] as number);
    expect(depth?.["baselineDelta1"]).toBeLessThan(depth?.["delta1"] as number);
  });
});
