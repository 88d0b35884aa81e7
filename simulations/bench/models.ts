/**
 * Every model of the table in every size: params, operations, time of a training step and of inference, and memory.
 * Each runs in a process of its own on one thread, beside the engine's own convolution as the ceiling.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDataset } from "../../client/data/open-dataset.ts";
import { FlatOptimizer } from "../../client/training/flat-optimizer.ts";
import { lossAndGradient, uncertaintyCount } from "../../client/training/step.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { plainView, randomView, type View } from "../../models/preprocess/augment.ts";
import { renderBatch } from "../../models/preprocess/batch.ts";
import { prepareSample } from "../../models/preprocess/prepare.ts";
import { buildModel } from "../../models/registry.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { factsOf, type ModelName, withModelDefaults } from "../../shared/config/models.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { generatedData } from "../generated-data.ts";
import { learnedLabels } from "../learned-labels.ts";
import { ROOM_LABELS } from "../scenarios/labels.ts";
import { median } from "./clock.ts";
import { engineConvolutions } from "./engine.ts";
import { operationsOf } from "./operations.ts";
import type { Figures } from "./suite.ts";

const BATCH = 8;
/** Steps until caches are full and code is compiled, and those that are timed. */
const WARM_UP = 3;
const RUNS = 7;

export async function measureModel(name: ModelName, preset: string): Promise<Figures> {
  const engine = await loadEngine({ threads: 1 });
  if (tf.getBackend() !== "tensorflow") throw new Error("models are measured on the native engine alone");
  const { trainingGFLOPs: peak } = await engineConvolutions();
  const config = configOf(name, preset);
  const [side] = config.input.size;
  const folder = await mkdtemp(join(tmpdir(), "allulook-bench-"));
  try {
    const dir = await generatedData(folder, 1, BATCH, side, 1);
    const dataset = await openDataset(dir, { labels: config.labels });
    const samples = await Promise.all(
      Array.from({ length: BATCH }, async (_, i) => prepareSample(await dataset.load(i), config)),
    );
    const built = buildModel(config, 1);
    const depth = { input: config.input.modalities.includes("depth"), target: true };
    const rng = Rng.of("bench");
    const render = (views: readonly View[]) =>
      renderBatch(samples.slice(0, views.length), views, config, built.strides);
    const plain = samples.map((sample) => plainView(sample, { depth: !depth.input }));
    const [one, all] = [render(plain.slice(0, 1)), render(plain)];
    const augmented = render(samples.map((sample) => randomView(sample, rng, depth, config.training)));
    const values = new Float32Array(built.layout.length + uncertaintyCount(config));
    values.set(built.getParams());
    const optimizer = new FlatOptimizer(config.training.optimizer, values);
    const stage = built.stageAt?.(0);
    const step = () =>
      optimizer.apply(lossAndGradient(built, config, optimizer.values(), augmented, stage).gradient, 0);
    const infer = (batch: typeof one) => () =>
      tf.tidy(() => {
        for (const output of built.forward(batch, false).values()) output.dataSync();
      });
    for (let i = 0; i < WARM_UP; i++) step();
    infer(one)();
    const operations = operationsOf(step);
    const training = median(RUNS, step);
    const inference = median(RUNS, infer(one));
    const inferenceOfBatch = median(RUNS, infer(all));
    const forward = operationsOf(infer(one));
    return {
      engine: engine.version,
      size: side,
      params: built.layout.length,
      fp32MB: (4 * built.layout.length) / 1e6,
      forwardGFLOP: forward / 1e9,
      msTrainingStep: 1000 * training,
      msInference: 1000 * inference,
      trainingGFLOPs: operations / 1e9 / training,
      inferenceGFLOPs: (BATCH * forward) / 1e9 / inferenceOfBatch,
      convolutionGFLOPs: peak as number,
      trainingShare: operations / 1e9 / training / (peak as number),
      inferenceShare: (BATCH * forward) / 1e9 / inferenceOfBatch / (peak as number),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function configOf(name: ModelName, preset: string): FederationConfig {
  const raw = { federation: "bench", model: { name, preset }, training: { batchSize: BATCH } };
  const config = federationConfig.parse(withModelDefaults(raw));
  return { ...config, labels: learnedLabels(name, new Set(factsOf(name)?.heads), ROOM_LABELS) };
}
