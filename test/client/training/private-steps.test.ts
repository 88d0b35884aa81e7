/** DP-SGD in the trainer: secret samples, clipped gradients, noise that no seed repeats, nothing told beside the delta. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { Lessons } from "../../../client/training/lessons.ts";
import { PrivateSteps } from "../../../client/training/private-steps.ts";
import { SampleCache } from "../../../client/training/sample-cache.ts";
import { PrivateStep } from "../../../client/training/private-step.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import { examplesOf } from "../../../models/preprocess/split-batch.ts";
import { buildModel } from "../../../models/registry.ts";
import { systemRandom } from "../../../shared/node/crypto.ts";
import { SecureNumbers } from "../../../shared/privacy/secure-numbers.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig } from "../../models/synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

const PRIVACY = { unit: "example", noiseMultiplier: 1, clipNorm: 0.5, minExamples: 4 };
const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

async function train(privacy: Record<string, unknown>, count = 8) {
  const over = {
    privacy,
    labels: { scene: ["left", "right"] },
    training: {
      localSteps: 2,
      batchSize: 2,
      optimizer: { name: "sgd", learningRate: 1, decay: 0 },
      losses: { weights: { segmentation: 1, detection: 1, depth: 1, scene: 1 } },
    },
  };
  const trainer = await createTrainer({
    config: testConfig(over),
    dataset: datasetOfSamples(squares(count)),
    clientName: "site-a",
    seed: 7,
  });
  try {
    const params = new Float32Array(trainer.layout.length);
    const rng = Rng.of(7, "train", "site-a", 1);
    const progress: number[] = [];
    const result = await trainer.train({
      params,
      round: 1,
      rng,
      signal: new AbortController().signal,
      onProgress: ({ step }) => progress.push(step),
    });
    return { ...result, progress, rng };
  } finally {
    trainer.dispose();
  }
}

describe("local training under privacy.unit example", () => {
  test("makes its steps, with noise of the planned size that no seed repeats, and tells no loss and no sample size", async () => {
    const [first, second] = [await train(PRIVACY), await train(PRIVACY)];
    expect(first.progress).toEqual([1, 2]);
    expect(first.delta).not.toEqual(second.delta);
    expect(first).toMatchObject({ lossSum: 0, lossCount: 0, examplesSeen: 4 });
    // Two steps of plain SGD at rate 1: the delta is the sum of two noisy means over an expected sample of 2.
    const stddev = norm(first.delta) / Math.sqrt(first.delta.length);
    expect(stddev / ((Math.SQRT2 * PRIVACY.clipNorm) / 2)).toBeCloseTo(1, 1);
  });

  test("a site with too few examples, and a model that mixes them, are refused", async () => {
    await expect(train({ ...PRIVACY, minExamples: 100 })).rejects.toMatchObject({ code: "PRIVACY_EXAMPLES" });
  });

  test("nothing is drawn from the public stream", async () => {
    // A batch of all: every step draws somebody.
    const { rng } = await train({ ...PRIVACY, minExamples: 2 }, 3);
    expect(rng.save()).toEqual(Rng.of(7, "train", "site-a", 1).save());
  });

  test("every drawn example of every step has a stream of its own", async () => {
    const config = testConfig({ privacy: { ...PRIVACY, minExamples: 2 } });
    const built = buildModel(config, 7);
    try {
      const steps = PrivateSteps.of(config, built, 2, systemRandom()) as PrivateSteps;
      const samples = squares(2).map((sample) => prepareSample(sample, config));
      const values = new Float32Array(built.layout.length + 4);
      values.set(built.getParams());
      const streams = new Set<string>();
      for (let step = 0; step < 3; step++) {
        await steps.step([0, 1], values, async (drawn, rngs) => {
          expect(rngs).toHaveLength(drawn.length);
          for (const rng of rngs) streams.add(rng.save().join());
          const of = drawn.map((i) => samples[i] as (typeof samples)[number]);
          return renderBatch(
            of,
            of.map((sample) => plainView(sample)),
            config,
            built.strides,
          );
        });
      }
      expect(streams.size).toBe(6);
    } finally {
      built.dispose();
    }
  });

  test("how an example is shown does not depend on who else was drawn", async () => {
    const augmentation = { weather: { share: 1 }, cutout: { probability: 0.5 } };
    const config = testConfig({ training: { augmentation } });
    const built = buildModel(config, 7);
    try {
      const cache = new SampleCache(datasetOfSamples(squares(3)), config, new Set());
      const place = { built, config, cache, train: [0, 1, 2] };
      const begin = { params: built.getParams(), round: 1, signal: new AbortController().signal };
      const lessons = await Lessons.of(place, begin, 0);
      const batch = (drawn: number[]) => {
        const rngs = drawn.map((index) => Rng.of("own", index));
        return lessons.batch(drawn, (i) => rngs[i] as Rng);
      };
      const [, second, third] = examplesOf(await batch([0, 1, 2]));
      expect(examplesOf(await batch([1, 2]))).toEqual([second, third]);
    } finally {
      built.dispose();
    }
  });

  test("without a noise there is no training", async () => {
    const { noiseMultiplier: _noise, ...silent } = PRIVACY;
    await expect(train(silent)).rejects.toMatchObject({ code: "POLICY_PRIVACY" });
  });
});

test("no example moves a step by more than the clipping norm", () => {
  const config = testConfig();
  const built = buildModel(config, 7);
  try {
    const samples = squares(3).map((sample) => prepareSample(sample, config));
    const batch = (of: typeof samples) =>
      renderBatch(
        of,
        of.map((sample) => plainView(sample, { depth: true })),
        config,
        built.strides,
      );
    const values = new Float32Array(built.layout.length + 4);
    values.set(built.getParams());
    const sum = (of: typeof samples) => {
      const step = new PrivateStep(values.length);
      step.add(built, config, values, batch(of), 0.25);
      expect(step.clippedShare).toBe(1);
      return step.finish(new SecureNumbers(systemRandom()), 0, 1).slice();
    };
    const [all, fewer] = [sum(samples), sum(samples.slice(1))];
    expect(norm(all.map((x, i) => x - (fewer[i] as number)))).toBeCloseTo(0.25, 4);
  } finally {
    built.dispose();
  }
});
