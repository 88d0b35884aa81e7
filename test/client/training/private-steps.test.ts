/** DP-SGD in the trainer: secret samples, clipped gradients, noise that no seed repeats, nothing told beside the delta. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { PrivateStep } from "../../../client/training/private-step.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { plainView } from "../../../models/preprocess/augment.ts";
import { renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
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
    const progress: number[] = [];
    const result = await trainer.train({
      params,
      round: 1,
      rng: Rng.of(7, "train", "site-a", 1),
      signal: new AbortController().signal,
      onProgress: ({ step }) => progress.push(step),
    });
    return { ...result, progress };
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
