/**
 * Where a training step of Allulook4 nano spends its time, and what inference takes: one process, one thread. Shares
 * of one run can be compared; a faster backward pass must not cost the forward pass.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDataset } from "../../client/data/open-dataset.ts";
import { FlatOptimizer } from "../../client/training/flat-optimizer.ts";
import { lossAndGradient, uncertaintyCount } from "../../client/training/step.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { randomView } from "../../models/preprocess/augment.ts";
import { renderBatch } from "../../models/preprocess/batch.ts";
import { prepareSample } from "../../models/preprocess/prepare.ts";
import { buildModel } from "../../models/registry.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { generatedData } from "../generated-data.ts";
import { ROOM_LABELS } from "../scenarios/labels.ts";
import { middle, seconds } from "./clock.ts";
import type { Figures } from "./suite.ts";

const BATCH = 8;
const STEPS = 40;
/** Until the engine's caches are full and the code is compiled. */
const WARM_UP = 10;

/** Allulook4 nano at 128x128, batch 8; the median of every phase. */
export async function nanoStepPhases(): Promise<Figures> {
  const engine = await loadEngine({ threads: 1 });
  const config = federationConfig.parse({
    federation: "bench",
    labels: ROOM_LABELS,
    training: { batchSize: BATCH },
  });
  const folder = await mkdtemp(join(tmpdir(), "allulook-bench-"));
  try {
    const dir = await generatedData(folder, 1, BATCH, 128, 1);
    const dataset = await openDataset(dir, { labels: config.labels });
    const indices = Array.from({ length: BATCH }, (_, i) => i);
    const samples = await Promise.all(indices.map(async (i) => prepareSample(await dataset.load(i), config)));
    const built = buildModel(config, 1);
    const start = new Float32Array(built.layout.length + uncertaintyCount(config));
    start.set(built.getParams());
    const optimizer = new FlatOptimizer(config.training.optimizer, start);
    const rng = Rng.of("bench");
    const render = () =>
      renderBatch(
        samples,
        samples.map((sample) => randomView(sample, rng, { input: true, target: true }, config.training)),
        config,
        built.strides,
      );
    const phases = {
      data: [] as number[],
      gradient: [] as number[],
      optimizer: [] as number[],
      inference: [] as number[],
    };
    for (let step = 0; step < WARM_UP + STEPS; step++) {
      let batch = render();
      let gradient: Float32Array = start;
      const data = seconds(() => (batch = render()));
      const backward = seconds(() => ({ gradient } = lossAndGradient(built, config, optimizer.values(), batch)));
      const update = seconds(() => optimizer.apply(gradient, 0));
      const inference = seconds(() =>
        tf.tidy(() => {
          for (const output of built.forward(batch, false).values()) output.dataSync();
        }),
      );
      if (step < WARM_UP) continue;
      phases.data.push(data);
      phases.gradient.push(backward);
      phases.optimizer.push(update);
      phases.inference.push(inference);
    }
    const tensors = tf.memory().numTensors;
    optimizer.dispose();
    built.dispose();
    return {
      engine: engine.version,
      msData: 1000 * middle(phases.data),
      msGradient: 1000 * middle(phases.gradient),
      msOptimizer: 1000 * middle(phases.optimizer),
      msInference: 1000 * middle(phases.inference),
      tensors,
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}
