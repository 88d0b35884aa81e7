import { beforeAll, describe, expect, test } from "@jest/globals";
import { Surface } from "../../../models/allulook4/layers/surface.ts";
import * as tf from "../../../models/engine/tf.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

describe("Surface", () => {
  function surface(weights: number[]): Surface {
    const layer = new Surface({ name: "surface" });
    layer.build([null, null, null, 1]);
    layer.setWeights([tf.tensor1d(weights)]);
    return layer;
  }

  test("adds nothing before training", () => {
    const layer = new Surface({ name: "surface" });
    const map = tf.randomNormal([2, 3, 4, 1], 0, 1, "float32", 1);
    const out = layer.apply(map) as tf.Tensor;
    expect(Array.from(out.dataSync())).toEqual(Array.from(map.dataSync()));
  });

  test("adds 4 (a x + b y + c x^2 + d y^2 + e xy) at the centre of each pixel, to every map of the batch", () => {
    const [a, b, c, d, e] = [0.5, -1, 0.25, 2, -0.75] as const;
    const out = surface([a, b, c, d, e]).apply(tf.zeros([2, 2, 4, 1])) as tf.Tensor;
    const expected = [-0.5, 0.5].flatMap((y) =>
      [-0.75, -0.25, 0.25, 0.75].map((x) => 4 * (a * x + b * y + c * x * x + d * y * y + e * x * y)),
    );
    const got = Array.from(out.dataSync());
    for (const [i, value] of [...expected, ...expected].entries()) expect(got[i]).toBeCloseTo(value, 5);
  });

  test("its gradient is the basis, summed over the batch", () => {
    const layer = surface([0, 0, 0, 0, 0]);
    const { grads } = tf.variableGrads(() => tf.sum(layer.apply(tf.ones([3, 1, 2, 1])) as tf.Tensor) as tf.Scalar);
    const gradient = Object.values(grads)[0] as tf.Tensor;
    // x is -0.5 and 0.5, y is 0: only x^2 does not cancel, 3 * 2 * 4 * 0.25.
    expect(Array.from(gradient.dataSync())).toEqual([0, 0, 6, 0, 0]);
  });
});
