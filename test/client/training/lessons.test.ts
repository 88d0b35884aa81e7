/** What a trainer learns from beyond its own labels, and in which order. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { easiestFirst, samplesInUse } from "../../../client/training/curriculum.ts";
import { SampleCache } from "../../../client/training/sample-cache.ts";
import type { Trainer, TrainingJob } from "../../../client/training/trainer.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { buildModel } from "../../../models/registry.ts";
import { curriculum } from "../../../shared/config/curriculum.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig, unlabelled } from "../../models/synthetic-samples.ts";

const open: Trainer[] = [];
beforeAll(async () => {
  await loadEngine();
});
afterEach(() => {
  for (const trainer of open.splice(0)) trainer.dispose();
});

/** Small: there are many trainings here. */
const input = { size: [32, 32] };
const trainingOf = (over: object, steps = 3) => ({ input, training: { localSteps: steps, batchSize: 2, ...over } });

async function trainer(over: Record<string, unknown>, samples: readonly Sample[], every?: number): Promise<Trainer> {
  const config = { ...testConfig(over), schedule: { rounds: 4 } };
  const made = await createTrainer({
    config,
    dataset: datasetOfSamples(samples),
    clientName: "site-a",
    seed: 7,
    ...(every !== undefined && { checkpointEveryMs: every }),
  });
  open.push(made);
  return made;
}

/** Biased towards the first class of each head, so that there is something to be sure of. */
function sure(over: Record<string, unknown> = {}): Float32Array {
  const built = buildModel(testConfig({ input, ...over }), 7);
  const params = built.getParams();
  for (const { name, offset, size } of built.layout.tensors) {
    if (/^head_(segmentation|scene).*bias/.test(name) && size === 2) params.set([6, -6], offset);
  }
  built.dispose();
  return params;
}

function job(params: Float32Array, over: Partial<TrainingJob> = {}): TrainingJob {
  return {
    params,
    round: 2,
    rng: Rng.of(7, "train", "site-a", 2),
    signal: new AbortController().signal,
    onProgress: () => {},
    ...over,
  };
}

const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");
const moved = (delta: Float32Array) => delta.some((value) => value !== 0);

/** Stops a training after `at` of its steps and lets another trainer finish it. */
async function interrupted(
  over: Record<string, unknown>,
  samples: readonly Sample[],
  params: Float32Array,
  at: number,
) {
  const folder = await mkdtemp(join(tmpdir(), "lessons-"));
  try {
    const controller = new AbortController();
    const onProgress: TrainingJob["onProgress"] = ({ step }) => (step === at ? controller.abort() : undefined);
    const dying = (await trainer(over, samples, 0)).train(
      job(params, { checkpointDir: folder, signal: controller.signal, onProgress }),
    );
    await expect(dying).rejects.toThrow();
    return await (await trainer(over, samples)).train(job(params, { checkpointDir: folder }));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("a site without labels", () => {
  const samples = squares(6).map(unlabelled);

  test("learns from a teacher that is sure, and counts by what it was sure of", async () => {
    const params = sure();
    const before = await (await trainer(trainingOf({}), samples)).train(job(params));
    expect([moved(before.delta), before.examples]).toEqual([false, 5]);
    const semi = await (await trainer(trainingOf({ semiSupervised: {} }), samples)).train(job(params));
    expect(moved(semi.delta)).toBe(true);
    expect(semi.examples).toBeGreaterThan(0);
    // No depth, and boxes that nobody is sure of.
    expect(semi.examples).toBeLessThanOrEqual(3);
    const doubtful = trainingOf({ semiSupervised: { confidence: 0.9999999, perClass: 0 } });
    expect(await (await trainer(doubtful, samples)).train(job(params))).toMatchObject({ examples: 0, lossSum: 0 });
  });

  test("waits for the first round with a teacher", async () => {
    const later = trainingOf({ semiSupervised: { fromRound: 3 } });
    const result = await (await trainer(later, samples)).train(job(sure()));
    expect([moved(result.delta), result.examples]).toEqual([false, 0]);
  });

  test("is one with labels that are not looked at", async () => {
    const over = trainingOf({ semiSupervised: {} });
    const params = sure();
    const train = [0, 1, 2, 3, 4];
    const make = async (given: readonly Sample[], split: object) => {
      const config = testConfig(over);
      const dataset = datasetOfSamples(given);
      const made = await createTrainer({
        config,
        dataset,
        clientName: "site-a",
        seed: 7,
        split: { train, evaluation: [5], ...split },
      });
      open.push(made);
      return made.train(job(params));
    };
    const hidden = squares(6).map((sample) => ({ ...unlabelled(sample), depth: sample.depth }));
    const a = await make(hidden, {});
    const b = await make(squares(6), { unlabelled: train });
    expect(bits(a.delta)).toBe(bits(b.delta));
  });

  test.each(["global", "average"])("goes on from a checkpoint to the same bits (%s)", async (teacher) => {
    const over = trainingOf({ semiSupervised: { teacher, decay: 0.5 } }, 4);
    const mixed = [...samples.slice(0, 3), ...squares(3, 2)];
    const params = sure();
    const whole = await (await trainer(over, mixed)).train(job(params));
    const resumed = await interrupted(over, mixed, params, 2);
    expect(bits(resumed.delta)).toBe(bits(whole.delta));
    expect(resumed.examples).toBe(whole.examples);
  });

  test("an average of the student is another teacher than the round's first model, and no tensor is kept", async () => {
    const params = sure();
    const by = async (semiSupervised: object) =>
      (
        await trainer(trainingOf({ semiSupervised, optimizer: { name: "adam", learningRate: 0.05 } }, 6), samples)
      ).train(job(params));
    const first = await by({ teacher: "global" });
    const before = tf.memory().numTensors;
    const average = await by({ teacher: "average", decay: 0 });
    expect(bits(average.delta)).not.toBe(bits(first.delta));
    open.pop()?.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("labelled samples", () => {
  test("are trained on as without a teacher", async () => {
    const params = sure();
    const plain = await (await trainer(trainingOf({}), squares(6))).train(job(params));
    const semi = trainingOf({ semiSupervised: { fromRound: 3 } });
    const same = await (await trainer(semi, squares(6))).train(job(params));
    expect(bits(same.delta)).toBe(bits(plain.delta));
    expect(same.examples).toBe(plain.examples);
  });
});

describe("a curriculum", () => {
  const settings = curriculum.parse({});

  test("begins with its share of the easiest, adds harder ones only, and ends with all", () => {
    const share = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), share, share, share, share, (count, start, full, a, b) => {
        const ranked = Array.from({ length: count }, (_, i) => count - i);
        const rules = { ...settings, start, full };
        const [early, late] = [Math.min(a, b), Math.max(a, b)].map((done) => samplesInUse(ranked, rules, done));
        expect(samplesInUse(ranked, rules, 0)).toEqual(ranked.slice(0, Math.max(1, Math.ceil(start * count))));
        expect(late?.slice(0, early?.length)).toEqual(early);
        expect(samplesInUse(ranked, rules, full)).toEqual(ranked);
      }),
    );
  });

  test("ranks by loss or by labels, unlabelled samples last", async () => {
    const config = testConfig({ input });
    const flat = { ...(squares(1, 3)[0] as Sample), segmentation: new Uint8Array(80 * 60) };
    const samples = [unlabelled(squares(1, 4)[0] as Sample), ...squares(3), flat];
    const cache = new SampleCache(datasetOfSamples(samples), config);
    const built = buildModel(config, 7);
    const model = { built, config, params: built.getParams() };
    const { signal } = new AbortController();
    const indices = samples.map((_, i) => i);
    const byLabels = await easiestFirst(indices, "labels", cache, model, signal);
    expect([byLabels[0], byLabels[4]]).toEqual([4, 0]);
    const byLoss = await easiestFirst(indices, "loss", cache, model, signal);
    expect(byLoss[4]).toBe(0);
    expect(await easiestFirst(indices, "loss", cache, model, signal)).toEqual(byLoss);
    expect(byLoss.toSorted()).toEqual(indices);
    built.dispose();
  });

  test("draws the easiest alone at first, and goes on from a checkpoint to the same bits", async () => {
    const samples = squares(6);
    const params = sure();
    const one = trainingOf({ curriculum: { measure: "labels", start: 0.01, full: 1 } }, 4);
    const loaded: number[] = [];
    const dataset = datasetOfSamples(samples);
    const made = await createTrainer({
      config: { ...testConfig(one), schedule: { rounds: 1000 } },
      dataset: { ...dataset, load: (index) => (loaded.push(index), dataset.load(index)) },
      clientName: "site-a",
      seed: 7,
    });
    open.push(made);
    await made.train(job(params, { round: 1 }));
    // Each training sample was read once to be rated; what is drawn comes from the cache.
    expect(loaded.length).toBe(5);
    const over = trainingOf({ curriculum: { start: 0.2, full: 1 } }, 4);
    const whole = await (await trainer(over, samples)).train(job(params));
    expect(bits((await interrupted(over, samples, params, 2)).delta)).toBe(bits(whole.delta));
    const plain = await (await trainer(trainingOf({}, 4), samples)).train(job(params));
    expect(bits(plain.delta)).not.toBe(bits(whole.delta));
    const over4 = await (await trainer(trainingOf({ curriculum: { full: 0.25 } }, 4), samples)).train(job(params));
    expect(bits(over4.delta)).toBe(bits(plain.delta));
  });
});
