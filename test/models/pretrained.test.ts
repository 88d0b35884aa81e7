import { beforeAll, describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkFederationConfig, parseFederationConfig } from "../../coordinator/config.ts";
import { predict } from "../../models/allulook4/predict.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { startOf } from "../../models/engine/node/pretrained.ts";
import { buildModel } from "../../models/registry.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { configHashOf, planOf, planText, readPlan } from "../../shared/config/plan.ts";
import { shippedFolders } from "../../shared/config/pretrained.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { tensorValues } from "../../shared/params/layout.ts";
import { readModelCard } from "../../shared/release/model-card.ts";
import { PRETRAINING_LABELS } from "../../simulations/pretraining/labels.ts";
import { pretrainingScenes } from "../../simulations/pretraining/scenes.ts";

const ROOT = join(import.meta.dirname, "../../models/pretrained");
const MOST_BYTES = 3e6;
const PICTURES = 5;

beforeAll(async () => {
  await loadEngine();
});

const federation = (model: string, rest = "") =>
  parseFederationConfig(`federation: wards\nlabels: { segmentation: [lesion, skin] }\nmodel: ${model}\n${rest}`).config;
const hashOfPlan = (config: FederationConfig) => configHashOf(planText(planOf(config)));

describe("the weights that ship", () => {
  test("are the files that were hashed, each with a model card, together at most 3 MB", async () => {
    const folders = shippedFolders();
    expect((await readdir(ROOT)).toSorted()).toEqual(folders.map(({ folder }) => folder).toSorted());
    let bytes = 0;
    for (const { folder, sha256 } of folders) {
      const files = await readdir(join(ROOT, folder));
      expect(files.toSorted()).toEqual(["README.md", "model.json", "weights.bin"]);
      for (const file of files) bytes += (await stat(join(ROOT, folder, file))).size;
      const [card, weights] = await Promise.all(
        ["model.json", "weights.bin"].map((file) => readFile(join(ROOT, folder, file))),
      );
      const digest = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
      expect(digest(`${digest(card as Buffer)} ${digest(weights as Buffer)}`)).toBe(sha256);
      const { builder, preset } = readModelCard(card as Buffer);
      expect(`${builder}-${preset}`).toBe(folder);
      expect(await readFile(join(ROOT, folder, "README.md"), "utf8")).toContain(sha256);
    }
    expect(bytes).toBeLessThan(MOST_BYTES);
  });

  test.each(shippedFolders())(
    "$folder sees what it was trained to see",
    async ({ folder }) => {
      const preset = folder.split("-").at(-1);
      // In another order, as a federation may have them.
      const segmentation = PRETRAINING_LABELS.segmentation.toReversed();
      const scenes = pretrainingScenes({ pictures: PICTURES, size: [128, 128], seed: 1234 });
      const samples = await Promise.all(Array.from({ length: PICTURES }, (_, i) => scenes.load(i)));
      const score = async (init: string): Promise<number> => {
        const raw = { federation: "seen", model: { preset, init }, labels: { segmentation, depth: { kind: "none" } } };
        const { config } = checkFederationConfig(federationConfig.parse(raw));
        const built = buildModel(config, 7, await startOf(config.model));
        let right = 0;
        for (const sample of samples) {
          const { classMap } = predict(built, config, sample);
          right += [...(sample.segmentation ?? [])].filter(
            (one, p) => PRETRAINING_LABELS.segmentation[one] === segmentation[classMap?.[p] as number],
          ).length;
        }
        built.dispose();
        return right / (PICTURES * 128 ** 2);
      };
      expect(await score("pretrained")).toBeGreaterThan(0.7);
      expect(await score("random")).toBeLessThan(0.4);
    },
    120_000,
  );

  test("are refused when they are not those of the plan", async () => {
    const { model } = federation("{ preset: nano }");
    const other = { ...model, weights: "0".repeat(64) as Sha256 };
    await expect(startOf(other)).rejects.toMatchObject({ code: "MODEL_WEIGHTS" });
    await expect(startOf({ name: "allulook4", preset: "base" })).resolves.toBeNull();
  });
});

describe("what a federation begins with", () => {
  test("is what ships for its model and preset, and random numbers where nothing does", () => {
    const [nano] = shippedFolders();
    expect(federation("{ preset: nano }").model).toMatchObject({ init: "pretrained", weights: nano?.sha256 });
    expect(federation("{ preset: nano, init: random }").model).toEqual({
      name: "allulook4",
      preset: "nano",
      init: "random",
    });
    expect(federation("{ preset: base }").model).toEqual({ name: "allulook4", preset: "base", init: "random" });
    const depthOnly = parseFederationConfig(
      "federation: far\nlabels: { depth: { kind: relative } }\nmodel: { name: dpt }\n",
    );
    expect(depthOnly.config.model.init).toBe("random");
  });

  test("stands in the plan that sites approve", () => {
    const [begun, random] = [federation("{ preset: nano }"), federation("{ preset: nano, init: random }")];
    expect(hashOfPlan(begun)).not.toBe(hashOfPlan(random));
    const text = planText(planOf(begun));
    expect(readPlan(text, configHashOf(text)).model.weights).toBe(begun.model.weights);
  });

  test.each([
    ["{ preset: base, init: pretrained }", "model.init"],
    [`{ preset: nano, weights: ${"0".repeat(64)} }`, "model.weights"],
    [`{ preset: nano, init: random, weights: ${"0".repeat(64)} }`, "model.weights"],
    ["{ preset: nano, init: best }", "model.init"],
  ])("%s is refused", (model, field) => {
    expect(() => federation(model)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", details: expect.objectContaining({ field }) }),
    );
  });

  test("is the same where only heads are trained: what is frozen comes from the weights that ship", async () => {
    const config = federation("{ preset: nano }", "training: { trainable: heads }");
    const start = await startOf(config.model);
    if (start === null) throw new Error("nothing ships for nano");
    const built = buildModel(config, config.seed, start);
    const stem = built.model.getLayer("deep_stem").getWeights()[0];
    const slot = start.layout.tensors.find(({ name }) => name === "deep_stem/kernel");
    expect(built.layout.tensors.every(({ name }) => name.startsWith("head_"))).toBe(true);
    expect(stem?.dataSync()).toEqual(tensorValues(start.params, slot as NonNullable<typeof slot>).slice());
    built.dispose();
  });
});
