/** Losses of the heads against NumPy (test/vectors/losses/make-losses.py), in value and gradient. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { DEPTH_LOSSES, type DepthGuide, depthLoss } from "../../../models/losses/depth.ts";
import { boxLoss, focalLoss, heatCrossEntropy } from "../../../models/losses/detection.ts";
import { combineLosses, headLoss, TASKS } from "../../../models/losses/multi-task.ts";
import { sceneLoss } from "../../../models/losses/table.ts";
import { segmentationLoss } from "../../../models/losses/segmentation.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { losses, type DepthLossName } from "../../../shared/config/losses.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { randomTensor } from "../check-gradient.ts";
import { squareSample, testConfig, unlabelled } from "../synthetic-samples.ts";

interface StoredLoss {
  readonly value: number;
  readonly gradient: readonly number[];
}
const stored = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../vectors/losses/losses.json"), "utf8")) as {
  depth: {
    height: number;
    width: number;
    metric: boolean;
    prediction: number[];
    target: number[];
    weight: number[];
    picture: number[] | null;
    losses: Record<string, StoredLoss>;
  }[];
  classes: { logits: number[]; shares: number[]; losses: Record<"crossEntropy" | "focal" | "dice", StoredLoss> };
  heat: { logits: number[]; heat: number[]; known: number[]; losses: Record<"focal" | "crossEntropy", StoredLoss> };
  boxes: StoredLoss & {
    width: number;
    height: number;
    sides: number[];
    cells: { sample: number; cell: number; left: number; top: number; right: number; bottom: number; weight: number }[];
  };
  weights: StoredLoss & { logVariances: number[]; losses: (number | null)[] };
};

beforeAll(async () => {
  await loadEngine();
});

/** Single precision here, double precision there. */
function expectSame(f: (z: tf.Tensor) => tf.Scalar, at: tf.Tensor, wanted: StoredLoss): void {
  const { value, grad } = tf.valueAndGrad(f)(at);
  expect(value.dataSync()[0]).toBeCloseTo(wanted.value, 4);
  const got = grad.dataSync();
  expect(got).toHaveLength(wanted.gradient.length);
  expect(Math.max(...wanted.gradient.map((by, i) => Math.abs(by - (got[i] as number))))).toBeLessThan(1e-4);
}

describe("against NumPy", () => {
  test.each(["crossEntropy", "focal", "dice"] as const)("segmentation by %s", (kind) => {
    tf.tidy(() => {
      const { logits, shares, losses: wanted } = stored.classes;
      const f = (z: tf.Tensor) => segmentationLoss(z as tf.Tensor4D, tf.tensor2d(shares, [12, 4]), [kind]);
      expectSame(f, tf.tensor4d(logits, [1, 3, 4, 4]), wanted[kind]);
    });
  });

  test.each(["crossEntropy", "focal"] as const)("scene by %s", (kind) => {
    tf.tidy(() => {
      const { logits, shares, losses: wanted } = stored.classes;
      const f = (z: tf.Tensor) => sceneLoss([kind], z as tf.Tensor2D, tf.tensor2d(shares, [12, 4]));
      expectSame(f, tf.tensor2d(logits, [12, 4]), wanted[kind]);
    });
  });

  test.each(["crossEntropy", "focal"] as const)("heat by %s", (kind) => {
    tf.tidy(() => {
      const { logits, heat, known, losses: wanted } = stored.heat;
      // Four channels of sides behind the two of heat.
      const place = (z: tf.Tensor) =>
        tf.pad(tf.reshape(z, [2, 2, 3, 2]), [
          [0, 0],
          [0, 0],
          [0, 0],
          [0, 4],
        ]) as tf.Tensor4D;
      const loss = kind === "focal" ? focalLoss : heatCrossEntropy;
      const f = (z: tf.Tensor) => loss(place(z), tf.tensor2d(heat, [12, 2]), tf.tensor1d(known));
      expectSame(f, tf.tensor3d(logits, [2, 6, 2]), wanted[kind]);
    });
  });

  test("boxes by GIoU", () => {
    tf.tidy(() => {
      const { cells, sides, width, height } = stored.boxes;
      const of = (key: keyof (typeof cells)[number]) => cells.map((cell) => cell[key]);
      const columns = {
        sample: of("sample"),
        cell: of("cell"),
        left: of("left"),
        top: of("top"),
        right: of("right"),
        bottom: of("bottom"),
        weight: of("weight"),
      };
      const f = (z: tf.Tensor) =>
        boxLoss(
          tf.pad(z as tf.Tensor4D, [
            [0, 0],
            [0, 0],
            [0, 0],
            [1, 0],
          ]),
          columns,
        );
      expectSame(f, tf.tensor4d(sides, [2, height, width, 4]), stored.boxes);
    });
  });

  test("learned weights", () => {
    tf.tidy(() => {
      const { logVariances, losses: values } = stored.weights;
      const perHead = new Map(
        TASKS.flatMap((task, i) => (values[i] == null ? [] : [[task, tf.scalar(values[i])] as const])),
      );
      const f = (s: tf.Tensor) => combineLosses(perHead, losses.parse({}), s as tf.Tensor1D);
      expectSame(f, tf.tensor1d(logVariances), stored.weights);
    });
  });

  test.each((Object.keys(DEPTH_LOSSES) as DepthLossName[]).filter((name) => name !== "ranking"))(
    "depth by %s, in a batch of pictures",
    (name) => {
      tf.tidy(() => {
        for (const { height, width, metric, prediction, target, weight, picture, losses: all } of stored.depth) {
          const wanted = all[name] as StoredLoss;
          // Twice as fine as the map.
          const rgb = new Float32Array(height * width * 4 * 3);
          for (let y = 0; y < 2 * height; y++) {
            for (let x = 0; x < 2 * width; x++) {
              for (let c = 0; c < 3; c++) {
                const value = picture?.[((y >> 1) * width + (x >> 1)) * 3 + c] ?? 0;
                rgb[(y * 2 * width + x) * 3 + c] = (value - 0.4) / 0.2;
              }
            }
          }
          const twice = (values: ArrayLike<number>) =>
            Float32Array.from([...Array.from(values), ...Array.from(values)]);
          const depthGuide: DepthGuide = {
            rgb: twice(rgb),
            height: 2 * height,
            width: 2 * width,
            mean: 0.4,
            deviation: 0.2,
            seen: [picture !== null, picture !== null],
            metric,
          };
          const targets = { depth: twice(target), depthWeight: twice(weight), depthGuide };
          const f = (z: tf.Tensor) => depthLoss(z as tf.Tensor4D, targets, [name]);
          const gradient = [...wanted.gradient, ...wanted.gradient].map((by) => by / 2);
          expectSame(f, tf.tensor4d(twice(prediction), [2, height, width, 1]), { value: wanted.value, gradient });
        }
      });
    },
  );
});

test("depth is learned as it is scored where nothing is said: aligned, unless it is metric", () => {
  const [height, width] = [12, 16];
  const at = (by: number) => Float32Array.from({ length: height * width }, (_, i) => Math.sin(by * i));
  const prediction = tf.tensor4d(at(0.7), [1, height, width, 1]);
  const targets = (metric: boolean) => ({
    depth: at(0.3),
    depthWeight: new Float32Array(height * width).fill(1),
    depthGuide: {
      rgb: new Float32Array(height * width * 3),
      height,
      width,
      mean: 0,
      deviation: 1,
      seen: [true],
      metric,
    },
  });
  const value = (metric: boolean, names: readonly DepthLossName[] | null) =>
    depthLoss(prediction, targets(metric), names).dataSync()[0];
  expect(value(true, null)).toBe(value(true, ["l2"]));
  expect(value(false, null)).toBe(value(false, ["l2", "scaleAndShiftInvariant"]));
  expect(value(false, null)).not.toBe(value(false, ["l2"]));
});

describe("missing labels", () => {
  const every = losses.parse({
    segmentation: ["crossEntropy", "dice", "focal"],
    detection: ["focal", "crossEntropy", "giou"],
    depth: Object.keys(DEPTH_LOSSES),
    scene: ["crossEntropy", "focal"],
  });

  test("of a sample leave every loss and gradient as they are without it", () => {
    const config = testConfig();
    const labelled = squareSample("a", Rng.of("a"));
    const without: Sample = unlabelled(squareSample("b", Rng.of("b")));
    const render = (samples: readonly Sample[]) => {
      const prepared = samples.map((sample) => prepareSample(sample, config));
      return renderBatch(
        prepared,
        prepared.map((sample) => plainView(sample, { depth: true }, [])),
        config,
      );
    };
    const alone = render([labelled]).targets;
    const mixed = render([labelled, without]).targets;
    const shapes = { segmentation: [32, 32, 2], detection: [16, 16, 5], depth: [16, 16, 1], scene: [2] } as const;
    tf.tidy(() => {
      for (const head of TASKS) {
        const shape = [...shapes[head]];
        const own = randomTensor(Rng.of("own", head), [1, ...shape]);
        const other = randomTensor(Rng.of("other", head), [1, ...shape]);
        const one = tf.valueAndGrad((z: tf.Tensor) => headLoss(head, z, alone, every) as tf.Scalar)(own);
        const both = tf.valueAndGrad((z: tf.Tensor) => headLoss(head, z, mixed, every) as tf.Scalar)(
          tf.concat([own, other]),
        );
        expect(both.value.dataSync()[0]).toBeCloseTo(one.value.dataSync()[0] as number, 4);
        const expected = [...one.grad.dataSync()];
        const got = [...both.grad.dataSync()];
        expect(Math.max(...expected.map((by, i) => Math.abs(by - (got[i] as number))))).toBeLessThan(1e-5);
        expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0);
        expect(Math.max(...got.slice(expected.length).map(Math.abs))).toBe(0);
      }
    });
  });

  test("of a whole batch leave no loss at all", () => {
    const config = testConfig();
    const prepared = [prepareSample(unlabelled(squareSample("b", Rng.of("b"))), config)];
    const { targets } = renderBatch(
      prepared,
      prepared.map((sample) => plainView(sample, {}, [])),
      config,
    );
    tf.tidy(() => {
      expect(headLoss("depth", tf.zeros([1, 16, 16, 1]), targets, every)).toBeNull();
      expect(headLoss("detection", tf.zeros([1, 16, 16, 5]), targets, every)).toBeNull();
    });
  });
});
