/** The three examples of docs/models.md are parts: they run as they stand there, by their names in federation.yaml. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { openRelease } from "../../client/model-cache/open-release.ts";
import { createTrainer } from "../../client/training/allulook-trainer.ts";
import { checkFederationConfig } from "../../coordinator/config.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { SEGMENTATION_LOSSES, type ClassLoss } from "../../models/losses/table.ts";
import { buildModel } from "../../models/registry.ts";
import { type FederationConfig, federationConfig } from "../../shared/config/federation.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { modelFiles } from "../../shared/release/model-card.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { folderWith } from "../fakes/dataset-folder.ts";
import { gradientError, randomTensor } from "../models/check-gradient.ts";
import { datasetOfSamples, squares } from "../models/synthetic-samples.ts";

const root = resolve(import.meta.dirname, "../..");
/** Beside the sources, so that the same relative imports resolve. */
const folder = join(root, ".snippets-run");

beforeAll(async () => {
  await loadEngine();
  const page = readFileSync(join(root, "docs/models.md"), "utf8");
  const section = page.slice(page.indexOf("## Another backbone, fusion or loss")).split("\n## ")[0] ?? "";
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const blocks = [...section.matchAll(/```ts\n([\s\S]*?)```/g)];
  expect(blocks).toHaveLength(3);
  for (const [i, [, code]] of blocks.entries()) {
    const file = join(folder, `part-${i}.ts`);
    writeFileSync(file, code as string);
    await import(pathToFileURL(file).href);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function config(over: { model?: object; losses?: object } = {}): FederationConfig {
  return checkFederationConfig(
    federationConfig.parse({
      federation: "parts",
      model: over.model ?? {},
      labels: { segmentation: ["ground", "square"], scene: ["left", "right"], depth: { kind: "none" } },
      input: { size: [32, 32] },
      training: { localSteps: 8, batchSize: 4, losses: over.losses ?? {}, optimizer: { learningRate: 0.005 } },
      schedule: { minSurvivors: 3, cohort: { min: 3, max: 3 } },
    }),
  ).config;
}

const names = (of: FederationConfig) => {
  const built = buildModel(of, 7);
  const list = built.layout.tensors.map(({ name }) => name);
  built.dispose();
  return list;
};

describe.each([
  ["backbone", { model: { backbone: "plain" } }, /^plain_1/, /^(deep|light)_/],
  ["fusion", { model: { fusion: "add-mean" } }, /^depth_fusion\/outKernel/, /queryLinearKernel/],
  ["loss", { losses: { segmentation: ["tversky"] } }, null, null],
] as const)("the example of a %s", (_, over, has, lacks) => {
  test("is what the model is made of, trains, and comes back from a release", async () => {
    const of = config(over);
    const list = names(of);
    if (has === null) expect(list).toEqual(names(config()));
    else {
      expect(list.some((name) => has.test(name))).toBe(true);
      expect(list.filter((name) => lacks.test(name) && !name.startsWith("encoder"))).toEqual([]);
    }
    const samples = squares(8);
    const split = { train: samples.map((_, i) => i), evaluation: [] };
    const trainer = await createTrainer({
      config: of,
      dataset: datasetOfSamples(samples),
      clientName: "a",
      seed: 7,
      split,
    });
    const built = buildModel(of, 7);
    let params = built.getParams();
    const losses: number[] = [];
    for (let round = 1; round <= 2; round++) {
      const signal = new AbortController().signal;
      const result = await trainer.train({ params, round, rng: Rng.of("parts", round), signal, onProgress: () => {} });
      losses.push(result.lossSum / result.lossCount);
      params = params.map((value, i) => value + (result.delta[i] as number));
    }
    trainer.dispose();
    expect(losses[1]).toBeLessThan(losses[0] as number);

    const weights = encodeModel(built.layout, params, "fp32", []).bytes;
    const files = [...modelFiles(of, built.layout), ["model/weights.bin", weights] as const];
    built.dispose();
    const loaded = await loadRelease(folderWith(Object.fromEntries(files)));
    expect(loaded.config.model).toMatchObject("model" in over ? over.model : {});
    const opened = await openRelease(loaded);
    expect(opened.getParams()).toEqual(params);
    opened.dispose();
  }, 120_000);
});

test("the loss's gradient is that of finite differences, and unlabelled cells do not count", () => {
  const loss = SEGMENTATION_LOSSES["tversky"] as ClassLoss;
  const shares = tf.tensor2d([1, 0, 0.5, 0.5, 0, 0, 0, 1], [4, 2]);
  const logits = randomTensor(Rng.of(1), [1, 2, 2, 2]) as tf.Tensor4D;
  expect(gradientError((z) => loss(z as tf.Tensor4D, shares), [logits], Rng.of(2))).toBeLessThan(1e-3);
  const gradient = tf
    .grad((z) => loss(z as tf.Tensor4D, shares))(logits)
    .dataSync();
  expect([gradient[4], gradient[5]]).toEqual([0, 0]);
  expect(gradient[0]).not.toBe(0);
});

test("without the other modality the fusion leaves the visual tokens alone", () => {
  const built = buildModel(config({ model: { fusion: "add-mean" } }), 7);
  const layer = built.model.getLayer("depth_fusion");
  const [visual, other] = [randomTensor(Rng.of(1), [1, 4, 48]), randomTensor(Rng.of(2), [1, 4, 48])];
  const seen = (there: number) => layer.call([visual, other, tf.tensor2d([[1, there, 0]])], {}) as tf.Tensor;
  expect([...seen(0).dataSync()]).toEqual([...visual.dataSync()]);
  expect([...seen(1).dataSync()]).not.toEqual([...visual.dataSync()]);
  built.dispose();
});

test("weights that ship are those of the usual parts", () => {
  expect(config().model.init).toBe("pretrained");
  expect(config({ model: { fusion: "add-mean" } }).model).toMatchObject({ init: "random" });
});

test("names that no table has are refused with those there are", () => {
  const wrong = (over: Parameters<typeof config>[0]) => () => buildModel(config(over), 7);
  for (const [over, named] of [
    [{ model: { backbone: "none" } }, "two-branch"],
    [{ model: { fusion: "none" } }, "gated-attention"],
    [{ losses: { segmentation: ["dicee"] } }, "dice"],
    [{ losses: { detection: ["focal", "iou"] } }, "giou"],
  ] as const) {
    expect(wrong(over)).toThrow(
      expect.objectContaining({ code: "MODEL_PART", message: expect.stringContaining(named) }),
    );
  }
  expect(() => federationConfig.parse({ federation: "a", model: { name: "dpt", backbone: "plain" } })).toThrow(
    "only allulook4",
  );
});
