import { beforeAll, describe, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { attentionPass } from "../../../models/kernels/attention.ts";
import { differentiable } from "../../../models/kernels/differentiable.ts";
import { convolution, dense } from "../../../models/kernels/linear.ts";
import { rmsGroupNorm, rmsNorm } from "../../../models/kernels/norm.ts";
import { averageBlocks, repeatPixels } from "../../../models/kernels/resample.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { gradientError, randomTensor } from "../check-gradient.ts";

/** Attention of heads that lie side by side: [B, T, D] and twice [B, S, D] -> [B, T, D]. */
function attention(
  queries: tf.Tensor3D,
  keys: tf.Tensor3D,
  values: tf.Tensor3D,
  heads: number,
  bias: tf.Tensor2D | null,
): tf.Tensor {
  const [batch, , width] = queries.shape;
  const apart = [queries, keys, values].map((x) =>
    tf.transpose(tf.reshape(x, [batch, -1, heads, width / heads]), [0, 2, 1, 3]),
  ) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const mixed = differentiable(apart, (keep) => attentionPass(keep, ...apart, bias));
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), queries.shape);
}

type Case = readonly [
  name: string,
  f: (...inputs: tf.Tensor[]) => tf.Tensor,
  shapes: number[][],
  slow?: (...inputs: tf.Tensor[]) => tf.Tensor,
];

const x4 = (x: tf.Tensor) => x as tf.Tensor4D;
const x2 = (x: tf.Tensor) => x as tf.Tensor2D;
const x1 = (x: tf.Tensor) => x as tf.Tensor1D;
const part = (inputs: tf.Tensor[], i: number) => inputs[i] as tf.Tensor;

/** The operation, the shapes of its inputs, and what it must equal, in plain TensorFlow.js. */
const CASES: readonly Case[] = [
  [
    "convolution 3x3 with bias",
    (...t) => convolution(x4(part(t, 0)), x4(part(t, 1)), x1(part(t, 2)), { stride: 1, relu: false }),
    [[2, 6, 5, 3], [3, 3, 3, 4], [4]],
    (...t) => tf.add(tf.conv2d(x4(part(t, 0)), x4(part(t, 1)), 1, "same"), part(t, 2)),
  ],
  [
    "convolution with stride",
    (...t) => convolution(x4(part(t, 0)), x4(part(t, 1)), null, { stride: 2, relu: false }),
    [
      [2, 6, 8, 3],
      [3, 3, 3, 2],
    ],
    (...t) => tf.conv2d(x4(part(t, 0)), x4(part(t, 1)), 2, "same"),
  ],
  [
    "depthwise convolution with stride and bias",
    (...t) => convolution(x4(part(t, 0)), x4(part(t, 1)), x1(part(t, 2)), { stride: 2, relu: false, depthwise: true }),
    [[2, 6, 6, 3], [3, 3, 3, 1], [3]],
    (...t) => tf.add(tf.depthwiseConv2d(x4(part(t, 0)), x4(part(t, 1)), 2, "same"), part(t, 2)),
  ],
  [
    "dense",
    (...t) => dense(x2(part(t, 0)), x2(part(t, 1)), x1(part(t, 2)), false),
    [[7, 5], [5, 3], [3]],
    (...t) => tf.add(tf.matMul(x2(part(t, 0)), x2(part(t, 1))), part(t, 2)),
  ],
  [
    "pointwise convolution of a large map",
    (...t) => convolution(x4(part(t, 0)), x4(part(t, 1)), x1(part(t, 2)), { stride: 1, relu: false }),
    [[2, 32, 64, 16], [1, 1, 16, 16], [16]],
    (...t) => tf.add(tf.conv2d(x4(part(t, 0)), x4(part(t, 1)), 1, "same"), part(t, 2)),
  ],
  [
    "group normalisation of a large map",
    (...t) => rmsGroupNorm(part(t, 0), x1(part(t, 1)), 2),
    [[2, 64, 32, 16], [16]],
    (...t) => {
      const groups = tf.reshape(part(t, 0), [2, 2048, 2, 8]);
      const rms = tf.sqrt(tf.add(tf.mean(tf.square(groups), [1, 3], true), 1e-5));
      return tf.mul(tf.reshape(tf.div(groups, rms), [2, 64, 32, 16]), part(t, 1));
    },
  ],
  [
    "group normalisation",
    (...t) => rmsGroupNorm(part(t, 0), x1(part(t, 1)), 2),
    [[2, 3, 4, 6], [6]],
    (...t) => {
      const groups = tf.reshape(part(t, 0), [2, 12, 2, 3]);
      const rms = tf.sqrt(tf.add(tf.mean(tf.square(groups), [1, 3], true), 1e-5));
      return tf.mul(tf.reshape(tf.div(groups, rms), [2, 3, 4, 6]), part(t, 1));
    },
  ],
  [
    "token normalisation",
    (...t) => rmsNorm(x2(part(t, 0)), x1(part(t, 1))),
    [[5, 8], [8]],
    (...t) => tf.mul(tf.div(part(t, 0), tf.sqrt(tf.add(tf.mean(tf.square(part(t, 0)), 1, true), 1e-5))), part(t, 1)),
  ],
  [
    "attention of four heads",
    (...t) => attention(part(t, 0) as tf.Tensor3D, part(t, 1) as tf.Tensor3D, part(t, 2) as tf.Tensor3D, 4, null),
    [
      [2, 5, 8],
      [2, 3, 8],
      [2, 3, 8],
    ],
    (...t) => {
      const heads = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [2, -1, 4, 2]), [0, 2, 1, 3]);
      const scores = tf.matMul(heads(part(t, 0)), heads(part(t, 1)), false, true);
      const mixed = tf.matMul(tf.softmax(tf.div(scores, Math.sqrt(2))), heads(part(t, 2)));
      return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [2, 5, 8]);
    },
  ],
  [
    "block average",
    (...t) => averageBlocks(x4(part(t, 0)), 2),
    [[2, 4, 6, 3]],
    (...t) =>
      tf
        .mean(tf.reshape(part(t, 0), [4, 2, 3, 6]), 1)
        .reshape([2, 2, 3, 2, 3])
        .mean(3),
  ],
  [
    "pixel repetition",
    (...t) => repeatPixels(x4(part(t, 0)), 2),
    [[2, 3, 2, 3]],
    (...t) => tf.image.resizeNearestNeighbor(x4(part(t, 0)), [6, 4]),
  ],
];

describe.each(["tensorflow", "cpu"] as const)("operations with gradients of our own on %s", (engine) => {
  let available = false;
  beforeAll(async () => {
    available = (await loadEngine({ prefer: engine })).backend === engine;
  });

  test.each(CASES)("%s", (_name, f, shapes, slow) => {
    if (!available) {
      console.warn(`skipped: the ${engine} engine is not installed`);
      return;
    }
    tf.tidy(() => {
      const rng = Rng.of(_name);
      const inputs = shapes.map((shape) => randomTensor(rng, shape));
      if (slow !== undefined) {
        const difference = tf.max(tf.abs(tf.sub(f(...inputs), slow(...inputs)))).dataSync()[0] as number;
        expect(difference).toBeLessThan(2e-5);
      }
      expect(gradientError(f, inputs, rng)).toBeLessThan(5e-3);
    });
  });

  test("ReLU inside an operation cuts the gradient where the output is zero", () => {
    if (!available) return;
    tf.tidy(() => {
      const x = tf.tensor2d([[1, -2]]);
      const kernel = tf.tensor2d([
        [1, 0],
        [0, 1],
      ]);
      const gradient = tf.grad((t) => tf.sum(dense(t as tf.Tensor2D, kernel, tf.zeros([2]), true)))(x);
      expect([...gradient.dataSync()]).toEqual([1, 0]);
      const image = tf.tensor4d([1, -2], [1, 1, 2, 1]);
      const one = tf.ones([1, 1, 1, 1]) as tf.Tensor4D;
      const cut = tf.grad((t) => tf.sum(convolution(t as tf.Tensor4D, one, null, { stride: 1, relu: true })))(image);
      expect([...cut.dataSync()]).toEqual([1, 0]);
    });
  });

  test("a key with a large negative bias is not attended", () => {
    if (!available) return;
    tf.tidy(() => {
      const rng = Rng.of("mask");
      const [q, k, v] = [randomTensor(rng, [1, 2, 4]), randomTensor(rng, [1, 3, 4]), randomTensor(rng, [1, 3, 4])] as [
        tf.Tensor3D,
        tf.Tensor3D,
        tf.Tensor3D,
      ];
      const masked = attention(q, k, v, 2, tf.tensor2d([[0, 0, -1e4]]));
      const without = attention(q, tf.slice(k, [0, 0, 0], [1, 2, 4]), tf.slice(v, [0, 0, 0], [1, 2, 4]), 2, null);
      expect(tf.max(tf.abs(tf.sub(masked, without))).dataSync()[0]).toBeLessThan(1e-6);
    });
  });
});
