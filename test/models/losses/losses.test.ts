import { beforeAll, describe, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { depthLoss } from "../../../models/losses/depth.ts";
import { boxLoss, focalLoss } from "../../../models/losses/detection.ts";
import { combineLosses, headLoss } from "../../../models/losses/multi-task.ts";
import { sceneLoss } from "../../../models/losses/table.ts";
import { segmentationLoss } from "../../../models/losses/segmentation.ts";
import type { Targets } from "../../../models/preprocess/batch.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { gradientError, randomTensor } from "../check-gradient.ts";

const LOSSES = {
  segmentation: ["crossEntropy", "dice"],
  detection: ["focal", "giou"],
  depth: ["l2"],
  scene: ["crossEntropy"],
  weights: "learned",
} as const satisfies Parameters<typeof headLoss>[3] | { segmentation: readonly string[] };

beforeAll(async () => {
  await loadEngine();
});

/** Shares of 3 classes in 2 x 2 x 3 cells; some cells mixed, one unlabelled, class 2 absent. */
function shares(): tf.Tensor2D {
  const rows = Array.from({ length: 12 }, (_, i) => (i === 5 ? [0, 0, 0] : i % 3 === 0 ? [0.25, 0.75, 0] : [1, 0, 0]));
  return tf.tensor2d(rows);
}

describe("losses", () => {
  test.each([[["crossEntropy"]], [["dice"]], [["focal"]], [["crossEntropy", "dice", "focal"]]] as (
    | "crossEntropy"
    | "dice"
    | "focal"
  )[][][])("segmentation by %j has the gradient of its value", (kinds) => {
    tf.tidy(() => {
      const rng = Rng.of("segmentation");
      const target = shares();
      const f = (z: tf.Tensor) => segmentationLoss(z as tf.Tensor4D, target, kinds ?? []);
      expect(gradientError(f, [randomTensor(rng, [2, 2, 3, 3])], rng)).toBeLessThan(2e-3);
    });
  });

  test("cross-entropy of uniform logits is the logarithm of the number of classes", () => {
    tf.tidy(() => {
      const target = tf.tensor2d([
        [1, 0],
        [0, 1],
      ]);
      const loss = segmentationLoss(tf.zeros([1, 1, 2, 2]), target, ["crossEntropy"]);
      expect(loss.dataSync()[0]).toBeCloseTo(Math.LN2, 5);
    });
  });

  test("an unlabelled cell changes nothing, whatever is predicted there", () => {
    tf.tidy(() => {
      const target = shares();
      const rng = Rng.of("ignored");
      const logits = randomTensor(rng, [2, 2, 3, 3]);
      const changed = logits.dataSync().slice();
      changed.set([50, -50, 7], 5 * 3);
      const of = (z: tf.Tensor) => segmentationLoss(z as tf.Tensor4D, target, ["crossEntropy", "dice"]).dataSync()[0];
      expect(of(tf.tensor(changed, [2, 2, 3, 3]))).toBeCloseTo(of(logits) as number, 5);
    });
  });

  test("focal loss has the gradient of its value and leaves unlabelled samples out", () => {
    tf.tidy(() => {
      const rng = Rng.of("focal");
      const heat = tf.tensor2d(Array.from({ length: 24 }, (_, i) => [i === 3 ? 1 : (i % 5) / 6]));
      const known = tf.tensor1d([1, 0]);
      const f = (z: tf.Tensor) => focalLoss(z as tf.Tensor4D, heat, known);
      const logits = randomTensor(rng, [2, 3, 4, 5]);
      expect(gradientError(f, [logits], rng)).toBeLessThan(2e-3);
      const gradient = tf.grad(f)(logits).dataSync();
      expect(gradient.subarray(60).every((value) => value === 0)).toBe(true);
      expect(gradient.subarray(0, 60).some((value) => value !== 0)).toBe(true);
    });
  });

  test("box loss has the gradient of its value, for overlapping, containing and disjoint boxes", () => {
    tf.tidy(() => {
      const rng = Rng.of("boxes");
      const cells = {
        sample: [0, 0, 1],
        cell: [5, 6, 0],
        left: [2, 20, 40],
        top: [2, 1, 40],
        right: [30, 24, 60],
        bottom: [20, 5, 63],
        weight: [0.7, 0.3, 1],
      };
      const f = (z: tf.Tensor) => boxLoss(z as tf.Tensor4D, cells);
      expect(gradientError(f, [randomTensor(rng, [2, 4, 4, 6], 0.5)], rng, 1e-3)).toBeLessThan(5e-3);
    });
  });

  test("the box loss of the true box is 0", () => {
    tf.tidy(() => {
      // Cell 5 of a 4 x 4 map has its centre at (6, 6).
      const cells = { sample: [0], cell: [5], left: [2], top: [1], right: [9], bottom: [14], weight: [1] };
      const sides = new Float32Array(16 * 5);
      sides.set(
        [4, 5, 3, 8].map((side) => Math.log(side / 16)),
        5 * 5 + 1,
      );
      expect(boxLoss(tf.tensor4d(sides, [1, 4, 4, 5]), cells).dataSync()[0]).toBeCloseTo(0, 5);
    });
  });

  test("depth and scene losses have the gradients of their values", () => {
    tf.tidy(() => {
      const rng = Rng.of("depth");
      const depth = randomTensor(rng, [12]).dataSync<"float32">();
      const depthWeight = Float32Array.of(1, 0, 0.5, 1, 1, 0, 0, 1, 1, 1, 0.25, 1);
      const f = (z: tf.Tensor) => depthLoss(z as tf.Tensor4D, { depth, depthWeight }, ["l2"]);
      const prediction = randomTensor(rng, [1, 3, 4, 1]);
      expect(gradientError(f, [prediction], rng)).toBeLessThan(2e-3);
      expect(tf.grad(f)(prediction).dataSync()[1]).toBe(0);
      const truth = tf.tensor2d([
        [0, 1, 0],
        [0, 0, 0],
      ]);
      const scene = (z: tf.Tensor) => sceneLoss(["crossEntropy"], z as tf.Tensor2D, truth);
      const logits = randomTensor(rng, [2, 3]);
      expect(gradientError(scene, [logits], rng)).toBeLessThan(2e-3);
      expect([...tf.grad(scene)(logits).dataSync()].slice(3)).toEqual([0, 0, 0].map(() => expect.closeTo(0, 9)));
    });
  });

  test("a head without labels in the batch has no loss", () => {
    const empty: Targets = {
      segmentation: new Float32Array(12),
      heat: new Float32Array(4),
      boxesKnown: new Float32Array(1),
      cells: { sample: [], cell: [], left: [], top: [], right: [], bottom: [], weight: [] },
      depth: new Float32Array(4),
      depthWeight: new Float32Array(4),
      scene: new Float32Array(2),
    };
    const losses = LOSSES as unknown as Parameters<typeof headLoss>[3];
    tf.tidy(() => {
      expect(headLoss("segmentation", tf.zeros([1, 2, 2, 3]), empty, losses)).toBeNull();
      expect(headLoss("detection", tf.zeros([1, 2, 2, 5]), empty, losses)).toBeNull();
      expect(headLoss("depth", tf.zeros([1, 2, 2, 1]), empty, losses)).toBeNull();
      expect(headLoss("scene", tf.zeros([1, 2]), empty, losses)).toBeNull();
    });
  });

  test("learned weights: exp(-s) L + s", () => {
    tf.tidy(() => {
      const losses = LOSSES as unknown as Parameters<typeof headLoss>[3];
      const perHead = new Map([["depth", tf.scalar(3)] as const, ["segmentation", tf.scalar(2)] as const]);
      const total = combineLosses(perHead, losses, tf.tensor1d([0.5, 9, -1, 9]));
      expect(total.dataSync()[0]).toBeCloseTo(Math.exp(-0.5) * 2 + 0.5 + Math.exp(1) * 3 - 1, 5);
    });
  });
});
