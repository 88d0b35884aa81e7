/** Operations counted as the field counts them: two for each product that is added up. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { operationsOf } from "../../../simulations/bench/operations.ts";

beforeAll(async () => {
  await loadEngine({ threads: 1 });
});

/** Only the native engine tells what it executes. */
const counted = (work: () => void) => (tf.getBackend() === "tensorflow" ? operationsOf(() => tf.tidy(work)) : null);

describe("operations", () => {
  test("of products of matrices, whichever is transposed", () => {
    const [a, b] = [tf.ones([5, 7]), tf.ones([7, 11])];
    for (const work of [
      () => void tf.matMul(a, b),
      () => void tf.matMul(b, a, true, true),
      () => void tf.matMul(tf.ones([7, 5]), b, true, false),
    ])
      expect(counted(work) ?? 2 * 5 * 7 * 11).toBe(2 * 5 * 7 * 11);
    expect(counted(() => void tf.matMul(tf.ones([3, 5, 7]), tf.ones([3, 7, 11]))) ?? 2310).toBe(2 * 3 * 5 * 7 * 11);
  });

  test("of a convolution, and as many again for each of its gradients", () => {
    const x = tf.ones<tf.Rank.R4>([2, 8, 6, 3]);
    const filter = tf.ones<tf.Rank.R4>([3, 3, 3, 4]);
    const strided = 2 * (2 * 4 * 3 * 4) * (3 * 3 * 3);
    expect(counted(() => void tf.conv2d(x, filter, 2, "same")) ?? strided).toBe(strided);
    const all = () =>
      void tf.grads((p, q) => tf.conv2d(p as tf.Tensor4D, q as tf.Tensor4D, 2, "same").sum())([x, filter]);
    expect(counted(all) ?? 3 * strided).toBe(3 * strided);
  });

  test("of a depthwise convolution", () => {
    const depthwise = () =>
      void tf.depthwiseConv2d(tf.ones<tf.Rank.R4>([1, 4, 4, 5]), tf.ones<tf.Rank.R4>([3, 3, 5, 1]), 1, "same");
    expect(counted(depthwise) ?? 1440).toBe(2 * 4 * 4 * 5 * 9);
  });

  test("of nothing else, and the engine is as before", () => {
    expect(counted(() => void tf.add(tf.ones([9]), 1)) ?? 0).toBe(0);
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });
});
