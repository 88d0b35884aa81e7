import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { describePlan } from "../../client/plan/describe.ts";
import { planRefusals } from "../../client/policy/plan-policy.ts";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { readFederationConfig } from "../../coordinator/config.ts";
import { initialModel } from "../../coordinator/release/initial-model.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { openModel } from "../../models/registry.ts";
import { configHashOf, planOf, planText, readPlan } from "../../shared/config/plan.ts";
import { sitePolicy } from "../../shared/config/site.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { MODEL_WEIGHTS_PATH, modelFiles } from "../../shared/release/model-card.ts";
import { folderWith } from "../fakes/dataset-folder.ts";

beforeAll(async () => {
  await loadEngine();
});

/** One convolution from a picture of 24 x 40 to two classes. */
function small(): tf.LayersModel {
  const layer = tf.layers.conv2d({ name: "mask", filters: 2, kernelSize: 1, inputShape: [24, 40, 3] });
  return tf.sequential({ name: "small", layers: [layer] });
}

const YAML = `name: small
model: model.json
inputs: { mask_input: { modality: rgb } }
outputs: { mask: { head: segmentation, losses: [dice], metrics: [dice] } }
`;
const FEDERATION = `federation: wards
labels: { segmentation: [ground, thing], depth: { kind: none } }
model: { init: small.yaml }
`;

async function folderOf(over: Record<string, unknown> = {}): Promise<string> {
  const model = small();
  const files = {
    "model.json": { modelTopology: JSON.parse(JSON.stringify(model.toJSON(null, false))) as unknown },
    "small.yaml": YAML,
    "federation.yaml": FEDERATION,
    ...over,
  };
  model.dispose();
  return folderWith(files);
}

const read = async (over: Record<string, unknown> = {}) =>
  (await readFederationConfig(join(await folderOf(over), "federation.yaml"))).config;

describe("a model of one's own in federation.yaml", () => {
  test("brings its name, size, modalities and losses", async () => {
    const config = await read();
    expect(config.model).toMatchObject({ name: "small", own: { weights: null } });
    expect(config.input).toEqual({ size: [24, 40], modalities: ["rgb"] });
    expect(config.training.losses.segmentation).toEqual(["dice"]);
  });

  test("stands in the plan, by the hash that sites approve, without its place at the coordinator", async () => {
    const folder = await folderOf();
    const { config } = await readFederationConfig(join(folder, "federation.yaml"));
    const text = planText(planOf(config));
    expect(text).not.toContain(folder);
    const plan = readPlan(text, configHashOf(text));
    expect(plan.model.own).toEqual(config.model.own);
    await writeFile(join(folder, "small.yaml"), YAML.replace("metrics: [dice]", "metrics: [mIoU]"));
    const changed = planText(planOf((await readFederationConfig(join(folder, "federation.yaml"))).config));
    expect(configHashOf(changed)).not.toBe(configHashOf(text));
  });

  test("is allowed by its name, and refused by every site when it holds what none builds", async () => {
    const plan = planOf(await read());
    const policy = sitePolicy.parse({ models: ["small"] });
    expect(planRefusals(policy, plan)).toEqual([]);
    expect(planRefusals(sitePolicy.parse({}), plan)).toMatchObject([{ code: "POLICY_MODEL" }]);
    const [what] = describePlan(plan, policy);
    expect(what?.lines[0]).toContain("The model small of");
    expect(what?.lines.join(" ")).toContain("a model of the operator's own, built here of layers");
    expect(what?.lines.join(" ")).toContain("(1 Conv2D)");
    const { own } = plan.model;
    const topology = JSON.parse(JSON.stringify(own?.topology).replace('"Conv2D"', '"Lambda"')) as object;
    const evil = { ...plan, model: { ...plan.model, own: { ...own, topology } } } as typeof plan;
    expect(planRefusals(policy, evil)).toMatchObject([{ code: "MODEL_LAYER" }]);
  });

  test("begins with the weights it came with", async () => {
    const model = small();
    const values = model.weights.map((weight, i) => tf.fill(weight.shape as number[], i + 0.25));
    model.setWeights(values);
    const folder = await folderOf();
    await model.save(
      tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
        const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
        await writeFile(join(folder, "model.json"), JSON.stringify({ modelTopology, weightsManifest }));
        await writeFile(join(folder, "weights.bin"), new Uint8Array(weightData as ArrayBuffer));
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
      }),
    );
    model.dispose();
    const path = join(folder, "federation.yaml");
    const { model: named, labels, input, training, seed } = (await readFederationConfig(path)).config;
    const begin = await initialModel({ model: named, labels, input, training }, seed, folder);
    expect([...(await begin.params())]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1.25, 1.25]);
    const weights = await readFile(join(folder, "weights.bin"));
    weights[0] = (weights[0] ?? 0) ^ 1;
    await writeFile(join(folder, "weights.bin"), weights);
    await writeFile(join(folder, "layout.json"), "{}");
    const changed = initialModel({ model: named, labels, input, training }, seed, folder);
    await expect(changed).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test("ships with model/, which opens without anything else", async () => {
    const config = await read();
    const built = await openModel(config, 7);
    const files = modelFiles(config, built.layout);
    files.set(MODEL_WEIGHTS_PATH, encodeModel(built.layout, built.getParams(), "fp32", []).bytes);
    const folder = folderWith(Object.fromEntries(files));
    const loaded = await loadRelease(join(folder, "model"));
    const again = await openModel(loaded.config, loaded.seed);
    expect(loaded.config.model).toMatchObject({ name: "small", own: config.model.own });
    expect(again.layout).toEqual(loaded.layout);
    expect(loaded.params).toEqual(built.getParams());
    for (const model of [built, again]) model.dispose();
  });
});

describe("what is wrong is named", () => {
  test.each([
    ["an unknown field", { "small.yaml": `${YAML}epochs: 3\n` }, "CONFIG_INVALID", /epochs/],
    [
      "an unknown metric",
      { "small.yaml": YAML.replace("metrics: [dice]", "metrics: [joy]") },
      "CONFIG_INVALID",
      /mIoU/,
    ],
    ["no model.json", { "small.yaml": YAML.replace("model.json", "model2.json") }, "CONFIG_INVALID", /model2/],
    ["model.json that is none", { "model.json": "{" }, "CONFIG_INVALID", /not JSON/],
    ["a name of the table", { "small.yaml": YAML.replace("name: small", "name: allulook4") }, "CONFIG_INVALID", /name/],
    [
      "another name",
      { "federation.yaml": FEDERATION.replace("init:", "name: other, init:") },
      "CONFIG_INVALID",
      /expected small/,
    ],
    ["labels for no output", { "federation.yaml": FEDERATION.replace("none", "metric") }, "CONFIG_INVALID", /depth/],
    [
      "a topology by hand",
      { "federation.yaml": FEDERATION.replace("init: small.yaml", "own: {}") },
      "CONFIG_INVALID",
      /by hand/,
    ],
    [
      "a layer that none builds",
      { "model.json": { modelTopology: { class_name: "Sequential", config: { layers: [{ class_name: "Lambda" }] } } } },
      "MODEL_LAYER",
      /Lambda.*execute code/,
    ],
  ])("%s", async (_, over, code, message) => {
    await expect(read(over)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
