import { expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import type { Backend } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig } from "../synthetic-samples.ts";
import { availableEngines } from "./engines.ts";

/** Length of the difference of two engines' three steps, as a share of the length of the steps. */
const TOLERANCE = 1e-4;

async function threeSteps(backend: Backend): Promise<Float32Array> {
  await tf.setBackend(backend);
  const config = testConfig({
    training: { localSteps: 3, batchSize: 2, optimizer: { name: "sgd", learningRate: 0.01 } },
  });
  const built = buildModel(config, 7);
  const params = built.getParams();
  built.dispose();
  const trainer = await createTrainer({ config, dataset: datasetOfSamples(squares(6)), clientName: "site-a", seed: 7 });
  try {
    const rng = Rng.of(7, "train", "site-a", 1);
    const signal = new AbortController().signal;
    const result = await trainer.train({ params, round: 1, rng, signal, onProgress: () => {} });
    expect(result.lossCount).toBe(3);
    return result.delta;
  } finally {
    trainer.dispose();
  }
}

test("three training steps of Allulook4 nano agree on the native library and WASM", async () => {
  const engines = await availableEngines();
  if (!engines.includes("tensorflow")) return;
  const expected = await threeSteps("tensorflow");
  const got = await threeSteps("wasm");
  expect(length(expected)).toBeGreaterThan(1e-3);
  // Nobody computed twice on the same engine: two engines never agree in every bit.
  expect(got).not.toEqual(expected);
  expect(length(got.map((value, i) => value - expected[i]!)) / length(expected)).toBeLessThan(TOLERANCE);
});

function length(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}
