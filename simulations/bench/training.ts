/** Training speed: Allulook4 on all cores, and what federating costs on top of a plain training loop. */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { TrainerPool } from "../../client/training/pool.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { simulateFederation } from "../federation.ts";
import { generatedData } from "../generated-data.ts";
import { buildCnn, cnnTrainer, randomPictures, trainPlain } from "../population/cnn-trainer.ts";
import { readParams, weightsLayout } from "../population/small-cnn.ts";
import { ROOM_LABELS } from "../scenarios/labels.ts";
import { middle, seconds } from "./clock.ts";
import { benchConfig } from "./rounds.ts";
import type { Figures } from "./suite.ts";

const STEPS = 20;
const BATCH = 8;

/** Allulook4 nano at 128x128, batch 8, one worker per core. */
export async function nanoTraining(): Promise<Figures> {
  const workers = availableParallelism();
  const folder = await mkdtemp(join(tmpdir(), "allulook-bench-"));
  const pool = new TrainerPool(workers, { threads: 1 });
  try {
    const dir = await generatedData(folder, 1, 32, 128, 1);
    const config = federationConfig.parse({
      federation: "bench",
      labels: ROOM_LABELS,
      training: { localSteps: STEPS, batchSize: BATCH },
    });
    const trainers = await Promise.all(
      Array.from({ length: workers }, (_, i) =>
        pool.create({ clientName: `client-${i}`, config, seed: 1, data: [{ dir }] }),
      ),
    );
    const size = trainers[0]?.layout.length ?? 0;
    const params = new Float32Array(size).map((_, i) => 0.02 * Math.sin(i));
    const train = () =>
      Promise.all(
        trainers.map((trainer, i) =>
          trainer.train({
            params,
            round: 1,
            rng: Rng.of("bench", i),
            signal: new AbortController().signal,
            onProgress: () => {},
          }),
        ),
      );
    await train();
    const start = performance.now();
    await train();
    const elapsed = (performance.now() - start) / 1000;
    return {
      workers,
      picturesPerSecond: (workers * STEPS * BATCH) / elapsed,
      msPerStep: (1000 * elapsed) / STEPS,
      params: size,
    };
  } finally {
    await pool.close();
    await rm(folder, { recursive: true });
  }
}

const CLIENTS = 10;
const ROUNDS = 3;
const PAIRS = 4;
const SETTING = { pictures: 32, batchSize: 8, epochs: 1 };

/**
 * Ten clients with 32 pictures of 64x64 each, against the same steps without a federation, in the same process: a few of
 * one, then a few of the other, so that whatever else the machine does slows both. The first pair compiles code.
 */
export async function federatedAgainstPlain(): Promise<Figures> {
  const engine = await loadEngine();
  const model = buildCnn(1);
  const layout = weightsLayout(model);
  const initial = readParams(model, layout);
  const data = Array.from({ length: CLIENTS }, (_, i) => randomPictures(SETTING.pictures, i));
  const plain = () => seconds(() => data.forEach((own, i) => void trainPlain(model, own, SETTING, Rng.of("bench", i))));
  const federated = async () => {
    const { rounds } = await simulateFederation({
      config: benchConfig("off", CLIENTS, ROUNDS),
      trainers: new Map(
        Array.from({ length: CLIENTS }, (_, i) => [`client-${i + 1}` as ClientName, cnnTrainer(model, SETTING, i)]),
      ),
      initialParams: () => Promise.resolve(initial),
      out: null,
      options: { evaluationEvery: 0, publish: false },
    });
    return rounds.filter(({ round }) => round > 0).map(({ seconds: { total } }) => total);
  };
  const pairs: { plain: number[]; federated: number[] }[] = [];
  for (let pair = 0; pair <= PAIRS; pair++) {
    pairs.push({ plain: Array.from({ length: ROUNDS }, plain), federated: await federated() });
  }
  const measured = pairs.slice(1);
  const plainSeconds = middle(measured.flatMap((pair) => pair.plain));
  const federatedSeconds = middle(measured.flatMap((pair) => pair.federated));
  return {
    engine: engine.version,
    params: layout.length,
    plainSeconds,
    federatedSeconds,
    ratio: federatedSeconds / plainSeconds,
  };
}
