import { beforeAll, expect, test } from "@jest/globals";
import { createTrainer } from "../../../client/training/allulook-trainer.ts";
import { predict, type Withheld } from "../../../models/allulook4/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { addConfusion } from "../../../models/metrics/segmentation.ts";
import { segmentationMetrics } from "../../../models/metrics/classification.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { buildModel } from "../../../models/registry.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { datasetOfSamples, squares, testConfig } from "../../models/synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

/** Pictures that show nothing: what is to be seen is in the depth map, the scene's class in the caption. */
function blank(sample: Sample): Sample {
  return { ...sample, rgb: new Uint8Array(sample.width * sample.height * 3).fill(128) };
}

test("depth and text are used where the picture says nothing", async () => {
  const config = testConfig({
    labels: { segmentation: ["ground", "square"], scene: ["left", "right"], depth: { kind: "none" } },
    training: { localSteps: 60, batchSize: 4, optimizer: { name: "adam", learningRate: 0.004 } },
  });
  const samples = squares(16).map(blank);
  const built = buildModel(config, 7);
  const trainer = await createTrainer({
    config,
    dataset: datasetOfSamples(samples),
    clientName: "site-a",
    seed: 7,
    split: { train: samples.map((_, i) => i), evaluation: [] },
  });
  const params = built.getParams();
  const { delta } = await trainer.train({
    params,
    round: 1,
    rng: Rng.of("modalities"),
    signal: new AbortController().signal,
    onProgress: () => {},
  });
  built.setParams(params.map((value, i) => value + (delta[i] as number)));
  const score = (withheld: Withheld) => {
    const confusion = new Float64Array(4);
    let right = 0;
    for (const sample of squares(8, 2).map(blank)) {
      const { classMap, scene } = predict(built, config, sample, withheld);
      addConfusion(confusion, 2, sample.segmentation as Uint8Array, classMap as Uint8Array);
      if (scene?.indexOf(Math.max(...scene)) === sample.scene) right++;
    }
    return { mIoU: segmentationMetrics(confusion, 2)?.mIoU ?? 0, right };
  };
  const all = score({});
  expect(all.mIoU).toBeGreaterThan(0.7);
  expect(score({ depth: true }).mIoU).toBeLessThan(all.mIoU - 0.2);
  expect(score({ depth: true }).right).toBeGreaterThanOrEqual(7);
  built.dispose();
  trainer.dispose();
}, 300_000);
