import { expect, test } from "@jest/globals";
import * as tf from "../../../models/engine/tf.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { availableEngines, computeOn, relativeError } from "./engines.ts";

/** Params after three steps differ by no more than this share of the largest param. */
const TOLERANCE = 1e-5;

/** A small net with what matters: strided and depthwise convolutions, pooling, resizing, embedding, dense, softmax. */
function trainThreeSteps(): tf.Tensor {
  const rng = Rng.of(5);
  const random = (shape: number[], scale: number): tf.Tensor => {
    const length = shape.reduce((a, b) => a * b, 1);
    return tf.tensor(
      Float32Array.from({ length }, () => (rng.uniform() * 2 - 1) * scale),
      shape,
    );
  };
  const pictures = random([4, 32, 32, 3], 1) as tf.Tensor4D;
  const words = tf.tensor2d(
    Array.from({ length: 24 }, () => Math.floor(rng.uniform() * 50)),
    [4, 6],
    "int32",
  );
  const labels = tf.oneHot(tf.tensor1d([0, 3, 1, 2], "int32"), 4);
  const params = [
    random([3, 3, 3, 8], 0.4),
    random([3, 3, 8, 1], 0.4),
    random([1, 1, 8, 16], 0.4),
    random([50, 16], 0.4),
    random([32, 4], 0.4),
  ];
  const loss = (
    conv: tf.Tensor,
    depthwise: tf.Tensor,
    point: tf.Tensor,
    table: tf.Tensor,
    head: tf.Tensor,
  ): tf.Tensor => {
    let x = tf.relu(tf.conv2d(pictures, conv as tf.Tensor4D, 2, "same"));
    x = tf.relu(tf.depthwiseConv2d(x, depthwise as tf.Tensor4D, 1, "same"));
    x = tf.image.resizeBilinear(tf.avgPool(x, 2, 2, "same"), [16, 16], true);
    x = tf.maxPool(tf.sigmoid(tf.conv2d(x, point as tf.Tensor4D, 1, "same")), 2, 2, "same");
    const text = tf.mean(tf.gather(table as tf.Tensor2D, words), 1);
    const features = tf.concat([tf.mean(x, [1, 2]), text], 1);
    return tf.mean(tf.neg(tf.sum(tf.mul(labels, tf.logSoftmax(tf.matMul(features, head))), 1)));
  };
  let now = params;
  for (let step = 0; step < 3; step++) {
    const gradients = tf.grads(loss as (...args: tf.Tensor[]) => tf.Tensor)(now);
    now = now.map((param, i) => tf.sub(param, tf.mul(gradients[i]!, 0.5)));
  }
  return tf.concat(
    [...now, ...params].map((param) => tf.reshape(param, [-1])),
    0,
  );
}

test("three training steps agree on all engines", async () => {
  const engines = await availableEngines();
  const results = [];
  for (const engine of engines) results.push({ engine, params: await computeOn(engine, trainThreeSteps) });
  const reference = results.at(-1)!;
  const count = reference.params.length / 2;
  const moved = relativeError(reference.params.slice(0, count), reference.params.slice(count));
  expect(moved).toBeGreaterThan(0.01);
  for (const { params } of results) expect(relativeError(params, reference.params)).toBeLessThan(TOLERANCE);
});

test("one engine gives the same bits every time", async () => {
  for (const engine of (await availableEngines()).filter((name) => name !== "cpu")) {
    const [first, second] = [await computeOn(engine, trainThreeSteps), await computeOn(engine, trainThreeSteps)];
    expect(Buffer.from(second.buffer).equals(Buffer.from(first.buffer))).toBe(true);
  }
});
