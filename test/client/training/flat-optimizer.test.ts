import { beforeAll, describe, expect, test } from "@jest/globals";
import { FlatOptimizer } from "../../../client/training/flat-optimizer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { Rng } from "../../../shared/rng/rng.ts";

const NAMES = ["sgd", "momentum", "adam", "adamax", "rmsprop", "adagrad", "adadelta"] as const;

beforeAll(async () => {
  await loadEngine();
});

function gradients(): Float32Array[] {
  const rng = Rng.of("gradients");
  return Array.from({ length: 5 }, () => Float32Array.from({ length: 17 }, () => rng.normal()));
}

describe.each(NAMES)("optimizer %s", (name) => {
  const settings = { name, learningRate: 0.01, decay: 0.5 };

  test("moves against the gradient, and keeps no tensor behind", () => {
    const before = tf.memory().numTensors;
    const optimizer = new FlatOptimizer(settings, new Float32Array(17));
    for (let i = 0; i < 3; i++) optimizer.apply(new Float32Array(17).fill(1), i / 3);
    expect(optimizer.values().every((value) => value < 0)).toBe(true);
    optimizer.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test("steps shorter as the round goes on", () => {
    const moved = (done: number) => {
      const optimizer = new FlatOptimizer(settings, new Float32Array(1));
      optimizer.apply(Float32Array.of(1), done);
      const [value] = optimizer.values();
      optimizer.dispose();
      return value as number;
    };
    // decay 0.5: half way through the round, a quarter of the learning rate is gone.
    expect(moved(0.5) / moved(0)).toBeCloseTo(0.75, 4);
  });

  test("continues from a saved state to the same bits", () => {
    const steps = gradients();
    const whole = new FlatOptimizer(settings, new Float32Array(17).fill(0.5));
    for (const [i, step] of steps.entries()) whole.apply(step, i / 5);
    const first = new FlatOptimizer(settings, new Float32Array(17).fill(0.5));
    for (const [i, step] of steps.slice(0, 3).entries()) first.apply(step, i / 5);
    const second = new FlatOptimizer(settings, new Float32Array(17));
    second.restore(first.values(), first.save());
    for (const [i, step] of steps.slice(3).entries()) second.apply(step, (i + 3) / 5);
    expect([...second.values()]).toEqual([...whole.values()]);
    for (const optimizer of [whole, first, second]) optimizer.dispose();
  });
});
