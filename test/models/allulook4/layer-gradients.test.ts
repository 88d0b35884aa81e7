import { beforeAll, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { BottleneckBlock, SeparableBlock } from "../../../models/allulook4/layers/blocks.ts";
import { Convolution } from "../../../models/allulook4/layers/convolution.ts";
import { CrossModalFusion } from "../../../models/allulook4/layers/cross-modal.ts";
import { EncoderLayer } from "../../../models/allulook4/layers/transformer.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { gradientError, randomTensor } from "../check-gradient.ts";

const presence = () =>
  tf.tensor2d([
    [1, 1, 1],
    [1, 0, 0],
  ]);
const mask = () =>
  tf.tensor2d([
    [1, 1, 0],
    [0, 0, 0],
  ]);

/** A layer, the shapes of what it differentiates by, and what it takes besides. */
const CASES: readonly (readonly [
  name: string,
  layer: () => tf.layers.Layer,
  shapes: number[][],
  constants?: () => tf.Tensor[],
])[] = [
  [
    "bottleneck block with stride",
    () => new BottleneckBlock({ name: "a", filters: 8, stride: 2, groupSize: 2 }),
    [[2, 4, 6, 4]],
  ],
  [
    "bottleneck block that keeps its size",
    () => new BottleneckBlock({ name: "b", filters: 4, stride: 1, groupSize: 2 }),
    [[2, 4, 6, 4]],
  ],
  [
    "separable block with stride",
    () => new SeparableBlock({ name: "c", filters: 8, stride: 2, groupSize: 2 }),
    [[2, 4, 6, 4]],
  ],
  [
    "normalised convolution",
    () =>
      new Convolution({
        name: "d",
        filters: 3,
        size: 3,
        stride: 1,
        relu: false,
        normGroup: 2,
        onData: false,
        rare: false,
      }),
    [[2, 4, 6, 4]],
  ],
  ["encoder layer", () => new EncoderLayer({ name: "e", heads: 2, feedForward: 6 }), [[2, 5, 8]]],
  [
    "fusion with a map, present in one sample",
    () => new CrossModalFusion({ name: "f", heads: 2, modality: 1 }),
    [
      [2, 5, 8],
      [2, 3, 8],
    ],
    () => [presence()],
  ],
  [
    "fusion with words, none of them in one sample",
    () => new CrossModalFusion({ name: "g", heads: 2, modality: 2 }),
    [
      [2, 5, 8],
      [2, 3, 8],
    ],
    () => [presence(), mask()],
  ],
];

beforeAll(async () => {
  await loadEngine();
});

test.each(CASES)(
  "%s: the gradients by inputs and weights are those of its value",
  (name, make, shapes, ...[constants]) => {
    tf.tidy(() => {
      const rng = Rng.of(name);
      const layer = make();
      layer.build(shapes.length === 1 ? (shapes[0] as number[]) : shapes);
      const weights = layer.trainableWeights as unknown as { val: tf.Tensor; shape: number[] }[];
      const before = weights.map(({ val }) => val);
      const inputs = [...shapes, ...weights.map(({ shape }) => shape)].map((shape) => randomTensor(rng, shape, 0.7));
      const f = (...tensors: tf.Tensor[]) => {
        for (const [i, weight] of weights.entries()) weight.val = tensors[shapes.length + i] as tf.Tensor;
        return layer.call([...tensors.slice(0, shapes.length), ...(constants?.() ?? [])], {}) as tf.Tensor;
      };
      // A step small enough that no ReLU turns on its way.
      const error = gradientError(f, inputs, rng, 1e-3);
      for (const [i, weight] of weights.entries()) weight.val = before[i] as tf.Tensor;
      expect(error).toBeLessThan(2e-2);
    });
  },
);
