/** Distillation against NumPy (test/vectors/losses/make-distillation.py) and finite differences. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { distillationLoss } from "../../../models/losses/distillation.ts";
import type { Head } from "../../../shared/release/scores.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { gradientError, randomTensor } from "../check-gradient.ts";

const stored = JSON.parse(
  readFileSync(resolve(import.meta.dirname, "../../vectors/losses/distillation.json"), "utf8"),
) as {
  head: Head;
  temperature: number;
  shape: number[];
  student: number[];
  teacher: number[];
  value: number;
  gradient: number[];
}[];

beforeAll(async () => {
  await loadEngine();
});

describe("against NumPy", () => {
  test.each(stored)(
    "$head at $temperature, $shape",
    ({ head, temperature, shape, student, teacher, value, gradient }) => {
      tf.tidy(() => {
        const truth = tf.tensor(teacher, shape);
        const got = tf.valueAndGrad((z: tf.Tensor) => distillationLoss(head, z, truth, temperature))(
          tf.tensor(student, shape),
        );
        expect(got.value.dataSync()[0]).toBeCloseTo(value, 4);
        const by = got.grad.dataSync();
        expect(Math.max(...gradient.map((wanted, i) => Math.abs(wanted - (by[i] as number))))).toBeLessThan(1e-5);
      });
    },
  );
});

const shapes: Record<Head, number[]> = {
  segmentation: [2, 4, 4, 3],
  scene: [4, 3],
  depth: [2, 4, 4, 1],
  detection: [2, 4, 4, 6],
};

describe.each(Object.entries(shapes) as [Head, number[]][])("%s", (head, shape) => {
  test("has the gradient of finite differences", () => {
    const rng = Rng.of("distillation", head);
    const [student, teacher] = [randomTensor(rng, shape), randomTensor(rng, shape, 2)];
    for (const temperature of [1, 4]) {
      const loss = (z: tf.Tensor) => distillationLoss(head, z, teacher, temperature);
      expect(gradientError(loss, [student], Rng.of("direction"))).toBeLessThan(2e-3);
    }
  });

  test("is least, and zero, at the teacher itself", () => {
    const teacher = randomTensor(Rng.of(head), shape, 2);
    const { value, grad } = tf.valueAndGrad((z: tf.Tensor) => distillationLoss(head, z, teacher, 3))(teacher);
    expect(Math.abs(value.dataSync()[0] as number)).toBeLessThan(1e-5);
    expect(Math.max(...grad.dataSync().map(Math.abs))).toBeLessThan(1e-6);
  });
});
