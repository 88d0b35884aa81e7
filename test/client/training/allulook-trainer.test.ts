import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import type { Trainer, TrainingJob, TrainingResult } from "../../../client/training/trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { metricsFromStatistics, slotValues } from "../../../models/metrics/statistics.ts";
import { buildModel } from "../../../models/registry.ts";
import { stepsPerRound } from "../../../shared/privacy/plan.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig, unlabelled } from "../../models/synthetic-samples.ts";

const open: Trainer[] = [];

beforeAll(async () => {
  await loadEngine();
});
afterEach(() => {
  for (const trainer of open.splice(0)) trainer.dispose();
});

async function trainer(over: Record<string, unknown> = {}, samples = squares(6), checkpointEveryMs?: number) {
  const made = await createTrainer({
    config: testConfig(over),
    dataset: datasetOfSamples(samples),
    clientName: "site-a",
    seed: 7,
    ...(checkpointEveryMs === undefined ? {} : { checkpointEveryMs }),
  });
  open.push(made);
  return made;
}

function initial(over: Record<string, unknown> = {}): Float32Array {
  const built = buildModel(testConfig(over), 7);
  const params = built.getParams();
  built.dispose();
  return params;
}

function job(params: Float32Array, over: Partial<TrainingJob> = {}): TrainingJob {
  return {
    params,
    round: 1,
    rng: Rng.of(7, "train", "site-a", 1),
    signal: new AbortController().signal,
    onProgress: () => {},
    ...over,
  };
}

const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");
const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

describe("local training", () => {
  test("is the same to the bit for the same job, and another for another round's stream", async () => {
    const a = await trainer();
    const params = initial();
    const before = bits(params);
    const first = await a.train(job(params));
    const second = await (await trainer()).train(job(params));
    const other = await a.train(job(params, { rng: Rng.of(7, "train", "site-a", 2) }));
    expect(bits(first.delta)).toBe(bits(second.delta));
    expect(bits(first.delta)).not.toBe(bits(other.delta));
    expect(bits(params)).toBe(before);
    expect(first).toMatchObject({ examplesSeen: 6, lossCount: 3 });
    expect(first.delta.length).toBe(a.layout.length);
    expect(norm(first.delta)).toBeGreaterThan(0);
  });

  test("weather changes what is learned, as the same stream has it every time", async () => {
    const training = { localSteps: 2, batchSize: 2 };
    const stormy = { training: { ...training, augmentation: { weather: { share: 1 } } } };
    const params = initial();
    const [clear, first, second] = await Promise.all(
      [{ training }, stormy, stormy].map(async (over) => (await trainer(over)).train(job(params))),
    );
    expect(bits((first as TrainingResult).delta)).toBe(bits((second as TrainingResult).delta));
    expect(bits((first as TrainingResult).delta)).not.toBe(bits((clear as TrainingResult).delta));
  });

  test("keeps no tensor", async () => {
    const a = await trainer();
    const params = initial();
    const signal = new AbortController().signal;
    await a.train(job(params));
    await a.evaluate(params, signal);
    const before = tf.memory().numTensors;
    await a.train(job(params));
    await a.evaluate(params, signal);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("stops when told to, with the reason given", async () => {
    const a = await trainer();
    const controller = new AbortController();
    const reason = new Error("the round is over");
    const seen: number[] = [];
    const running = a.train(
      job(initial(), {
        signal: controller.signal,
        onProgress: ({ step }) => {
          seen.push(step);
          if (step === 2) controller.abort(reason);
        },
      }),
    );
    await expect(running).rejects.toBe(reason);
    expect(seen).toEqual([1, 2]);
  });

  test("goes on from a checkpoint to the bits of an undisturbed run", async () => {
    const training = { training: { localSteps: 6, batchSize: 2 } };
    const folder = await mkdtemp(join(tmpdir(), "checkpoint-"));
    try {
      const params = initial(training);
      const undisturbed = await (await trainer(training)).train(job(params));
      const controller = new AbortController();
      const stopped = (await trainer(training, squares(6), 0)).train(
        job(params, {
          checkpointDir: folder,
          signal: controller.signal,
          onProgress: ({ step }) => {
            if (step === 4) controller.abort();
          },
        }),
      );
      await expect(stopped).rejects.toThrow();
      const steps: number[] = [];
      const resumed = await (
        await trainer(training)
      ).train(job(params, { checkpointDir: folder, onProgress: ({ step }) => steps.push(step) }));
      expect(steps).toEqual([5, 6]);
      expect(bits(resumed.delta)).toBe(bits(undisturbed.delta));
      expect(resumed).toMatchObject({ examplesSeen: 12, lossCount: 6, lossSum: undisturbed.lossSum });
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("starts over when the checkpoint is damaged or belongs to another job", async () => {
    const folder = await mkdtemp(join(tmpdir(), "checkpoint-"));
    try {
      const params = initial();
      const whole = await (await trainer()).train(job(params));
      for (const content of ["", "{}\n", "not json\nabc"]) {
        await writeFile(join(folder, "training.checkpoint"), content);
        const steps: number[] = [];
        const again = await (
          await trainer()
        ).train(job(params, { checkpointDir: folder, onProgress: ({ step }) => steps.push(step) }));
        expect(steps).toEqual([1, 2, 3]);
        expect(bits(again.delta)).toBe(bits(whole.delta));
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("learns nothing from samples without labels", async () => {
    const a = await trainer({}, squares(4).map(unlabelled));
    const result = await a.train(job(initial()));
    expect(norm(result.delta)).toBe(0);
    expect(result.lossSum).toBe(0);
  });

  test("moves only the heads when only they are trainable", async () => {
    const over = { training: { localSteps: 2, batchSize: 2, trainable: "heads" } };
    const a = await trainer(over);
    expect(a.layout.tensors.length).toBeGreaterThan(0);
    expect(a.layout.tensors.every(({ name }) => name.startsWith("head_"))).toBe(true);
    const result = await a.train(job(initial(over)));
    expect(norm(result.delta)).toBeGreaterThan(0);
  });

  test("stays closer to the global params with a proximal term", async () => {
    const training = { localSteps: 6, batchSize: 2, optimizer: { name: "sgd", learningRate: 0.01 } };
    const params = initial({ training });
    const free = await (await trainer({ training })).train(job(params));
    const held = await (await trainer({ training: { ...training, proximal: 20 } })).train(job(params));
    expect(norm(held.delta)).toBeLessThan(0.9 * norm(free.delta));
  });

  test("adds a correction to every gradient, and to nothing that no gradient moves", async () => {
    const rate = 0.125;
    const over = {
      training: { localSteps: 1, batchSize: 2, optimizer: { name: "sgd", learningRate: rate, decay: 0 } },
    };
    const a = await trainer(over);
    const params = initial(over);
    const plain = await a.train(job(params));
    const correction = params.map((_, i) => ((i % 7) - 3) / 8);
    const corrected = await a.train(job(params, { correction }));
    const moved = corrected.delta.map((value, i) => (value - (plain.delta[i] as number)) / -rate);
    const wrong = moved.findIndex((value, i) => Math.abs(value - (correction[i] as number)) > 1e-3);
    // Running means and variances come last.
    expect(wrong === -1 || moved.subarray(wrong).every((value) => Math.abs(value) < 1e-3)).toBe(true);
    expect(wrong === -1 || wrong > params.length / 2).toBe(true);
  });

  test("measures the loss it begins with where the strategy asks for it, without changing what it learns", async () => {
    const strategy = { strategy: { name: "qfedavg" } };
    const params = initial();
    const fair = await (await trainer(strategy)).train(job(params));
    const plain = await (await trainer()).train(job(params));
    expect(bits(fair.delta)).toBe(bits(plain.delta));
    expect(plain.startLoss).toBeUndefined();
    expect(fair.startLoss).toBeGreaterThan(0);
  });

  test("refuses params of another model and reports a diverged loss", async () => {
    const a = await trainer();
    await expect(a.train(job(new Float32Array(3)))).rejects.toMatchObject({ code: "PARAMS_SHAPE" });
    const broken = initial();
    broken[0] = Number.NaN;
    await expect(a.train(job(broken))).rejects.toMatchObject({ code: "UPDATE_NOT_FINITE" });
  });

  test("lowers the loss", async () => {
    const training = { training: { localSteps: 25, batchSize: 4, optimizer: { name: "adam", learningRate: 0.003 } } };
    const losses: number[] = [];
    await (await trainer(training)).train(job(initial(training), { onProgress: ({ loss }) => losses.push(loss) }));
    const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-5))).toBeLessThan(0.8 * mean(losses.slice(0, 5)));
  });
});

describe("evaluation", () => {
  test("counts whole numbers that add up over clients", async () => {
    const signal = new AbortController().signal;
    const samples = squares(4);
    const params = initial();
    // One picture a batch: another batch size rounds sums differently.
    const config = testConfig({ training: { batchSize: 1 } });
    const on = async (evaluation: number[]) => {
      const made = await createTrainer({
        config,
        dataset: datasetOfSamples(samples),
        clientName: "site-a",
        seed: 7,
        split: { train: [0], evaluation },
      });
      open.push(made);
      return { made, values: await made.evaluate(params, signal) };
    };
    const both = await on([1, 2, 3]);
    const first = await on([1]);
    const rest = await on([2, 3]);
    expect(both.values.every((value) => Number.isSafeInteger(value) && value >= 0)).toBe(true);
    const sum = first.values.map((value, i) => value + (rest.values[i] as number));
    expect([...sum]).toEqual([...both.values]);
    const metrics = metricsFromStatistics(both.made.statistics, both.values);
    expect(Object.keys(metrics).toSorted()).toEqual(["depth", "depthCompletion", "detection", "scene", "segmentation"]);
    const scenes = slotValues(both.made.statistics, both.values, "sceneConfusion");
    expect(scenes.reduce((total, count) => total + count, 0)).toBe(3);
  });
});

describe("scores that leave without noise", () => {
  const baseline = async (privacy: Record<string, unknown>) => {
    const over = { privacy };
    const made = await trainer(over, squares(8));
    const values = await made.evaluate(initial(over), new AbortController().signal);
    const [depth] = slotValues(made.statistics, values, "depth");
    expect(depth).toBeGreaterThan(0);
    return slotValues(made.statistics, values, "depthBaseline");
  };

  test.each(["example", "client"])("with privacy.unit %s they rest on no training picture", async (unit) => {
    const least = unit === "example" ? { minExamples: 2 } : {};
    const values = await baseline({ unit, noiseMultiplier: 1, scores: "exact", ...least });
    expect(values.every((value) => value === 0)).toBe(true);
  });

  test("without privacy they have a baseline", async () => {
    expect((await baseline({ unit: "none" }))[0]).toBeGreaterThan(0);
  });
});

describe("steps of a round", () => {
  const training = testConfig().training;
  test.each([
    [{ localSteps: 5 }, 5],
    [{ localSteps: undefined, localEpochs: 2 }, 7],
    [{ localSteps: undefined, localEpochs: undefined }, 20],
  ])("%j of 7 samples in batches of 2", (over, steps) => {
    const settings = { ...training, ...over } as typeof training;
    expect(stepsPerRound(settings, 7)).toBe(steps);
  });

  test("epochs use every sample equally often", async () => {
    const over = { training: { localEpochs: 2, batchSize: 4 } };
    const result = await (await trainer(over, squares(6))).train(job(initial(over)));
    expect(result).toMatchObject({ examplesSeen: 10, lossCount: 3 });
  });
});
