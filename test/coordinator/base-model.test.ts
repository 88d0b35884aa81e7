/** A federation that begins with another release's weights, and the release that comes of it. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encodePersonal } from "../../client/model-cache/personal.ts";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { openRelease, personalWords } from "../../client/model-cache/open-release.ts";
import { readBaseBytes, readBaseModel } from "../../coordinator/base-model.ts";
import { readFederationConfig } from "../../coordinator/config.ts";
import { initialModel } from "../../coordinator/release/initial-model.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { buildModel, openModel } from "../../models/registry.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { planOf, planText, configHashOf, readPlan } from "../../shared/config/plan.ts";
import { tensorValues } from "../../shared/params/layout.ts";
import { encodeModel } from "../../shared/quantize/model.ts";
import { BASE_PATH, decodeBase } from "../../shared/release/base.ts";
import { MODEL_WEIGHTS_PATH, modelFiles } from "../../shared/release/model-card.ts";
import { testConfig } from "../models/synthetic-samples.ts";

let folder: string;
const SOURCE = testConfig({ labels: { segmentation: ["a", "b", "c"], depth: { kind: "metric" } } });

async function writeModel(dir: string, config: FederationConfig, seed: number, base: Uint8Array | null = null) {
  const built = await openModel(config, seed, base === null ? null : decodeBase(base));
  const rng = built.getParams().map((value, i) => value + ((i % 7) - 3) / 100);
  const { bytes, params } = encodeModel(built.layout, rng, "int8", []);
  const files = modelFiles(config, built.layout, base).set(MODEL_WEIGHTS_PATH, bytes);
  for (const [path, content] of files) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  built.dispose();
  return { params, layout: built.layout, files };
}

beforeAll(async () => {
  await loadEngine();
  folder = await mkdtemp(join(tmpdir(), "base-"));
  await writeModel(join(folder, "source"), SOURCE, 11);
});
afterAll(() => rm(folder, { recursive: true }));

async function federation(training: string, model = "{ init: ./source }") {
  const path = join(folder, "federation.yaml");
  const labels = "{ segmentation: [wall, door], depth: { kind: metric } }";
  await writeFile(
    path,
    `federation: test\nmodel: ${model}\nlabels: ${labels}\ninput: { size: [64, 64] }\ntraining: ${training}\n`,
  );
  return (await readFederationConfig(path)).config;
}

describe("federation.yaml that names a release to begin from", () => {
  test("takes its model and preset, and the plan names the weights by hash, not by path", async () => {
    const config = await federation("{}");
    const { ref, bytes } = await readBaseModel(join(folder, "source"));
    expect(config.model).toEqual({ name: "allulook4", preset: "nano", init: join(folder, "source"), base: ref });
    expect(await readBaseBytes(config.model.init, ref)).toEqual(bytes);
    const text = planText(planOf(config));
    expect(text).not.toContain(folder);
    expect(readPlan(text, configHashOf(text)).model).toMatchObject({ init: "./source", base: ref });
  });

  test.each([
    ["{ init: ./source, preset: tiny }", "model.preset"],
    ["{ init: ./source, name: dpt }", "model.name"],
    ["{ init: ./nothing }", "model.init"],
    ["{ init: nothing }", "model.init"],
    ["{ base: { sha256: abc, bytes: 1 } }", "model.base"],
  ])("%s is refused at %s", async (model, field) => {
    await expect(federation("{}", model)).rejects.toMatchObject({ code: "CONFIG_INVALID", details: { field } });
  });

  test("weights that changed since are refused, and so is a release that does not hold the whole model", async () => {
    const { ref } = await readBaseModel(join(folder, "source"));
    await writeModel(join(folder, "other"), SOURCE, 12);
    await expect(readBaseBytes(join(folder, "other"), ref)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const part = { ...SOURCE, training: { ...SOURCE.training, trainable: "adapters" as const } };
    await writeModel(join(folder, "part"), part, 12);
    await expect(readBaseModel(join(folder, "part"))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test("version 0 has its weights where names and shapes are the same, and the seed's elsewhere", async () => {
    const config = await federation("{}");
    const base = decodeBase((await readBaseModel(config.model.init ?? "")).bytes);
    const begin = await initialModel(config, config.seed, await mkdtemp(join(folder, "cache-")));
    const params = await begin.params();
    const fresh = buildModel(config, config.seed);
    const values = fresh.getParams();
    fresh.dispose();
    for (const slot of begin.layout.tensors) {
      const same = base.layout.tensors.find(({ name }) => name === slot.name);
      const given = same?.shape.join() === slot.shape.join();
      const wanted = given ? tensorValues(base.params, same as typeof slot) : tensorValues(values, slot);
      expect([slot.name, tensorValues(params, slot)]).toEqual([slot.name, wanted]);
      // Three classes do not fit two.
      if (!given) expect(slot.name).toMatch(/^head_segmentation_logits/);
    }
  });
});

describe("a release of adapters on a base, with personal norms", () => {
  const training = "{ trainable: adapters, adapters: { rank: 2 }, personal: [norms] }";

  test("is a whole model: predicts as the params that were trained, with a site's own beside it", async () => {
    const config = await federation(training);
    const { bytes } = await readBaseModel(config.model.init ?? "");
    const dir = join(folder, "run", "5");
    const { params, files } = await writeModel(dir, config, config.seed, bytes);
    expect(files.get(BASE_PATH)).toEqual(bytes);
    const loaded = await loadRelease(dir);
    expect(loaded.config.training).toMatchObject({ trainable: "adapters", personal: ["norms"] });
    expect(personalWords(loaded)).toMatch(/initial values/);
    const built = await openRelease(loaded);
    expect(built.getParams()).toEqual(params);
    const reference = buildModel(config, config.seed, decodeBase(bytes));
    reference.setParams(params);
    const weights = ({ model }: typeof built) => model.weights.map((weight) => weight.read().dataSync());
    expect(weights(built)).toEqual(weights(reference));
    // A site's own.
    const own = built.getPersonal().map((value) => value + 0.5);
    const file = join(folder, "own.personal");
    await writeFile(file, encodePersonal(built.personal, own));
    const mine = await loadRelease(dir, file);
    expect(personalWords(mine)).toBe("with a site's own norms");
    const opened = await openRelease(mine);
    expect(opened.getPersonal()).toEqual(own);
    const strange = encodePersonal({ tensors: built.personal.tensors.slice(0, 1), length: 12 }, own.slice(0, 12));
    await writeFile(file, strange);
    await expect(openRelease(await loadRelease(dir, file))).rejects.toMatchObject({ code: "PARAMS_SHAPE" });
    await expect(loadRelease(dir, join(folder, "none"))).rejects.toMatchObject({ code: "USAGE" });
    for (const model of [built, reference, opened]) model.dispose();
    // Another base would be another model.
    await writeFile(join(dir, BASE_PATH), bytes.slice(0, -4));
    await expect(loadRelease(dir)).rejects.toMatchObject({ code: "RELEASE_FILE" });
  });

  test("words that name nothing of the model are refused when it is built", async () => {
    const config = { ...(await federation("{ personal: [norms] }", "{}")) };
    const zoo = {
      ...config,
      model: { ...config.model, name: "depthnet" },
      labels: { ...config.labels, segmentation: [] },
    };
    const kept = (personal: FederationConfig["training"]["personal"]) =>
      initialModel(
        { ...zoo, input: { size: [128, 128], modalities: ["rgb"] }, training: { ...config.training, personal } },
        7,
        join(folder, `z-${personal.join("-")}`),
      );
    await expect(kept(["segmentation"])).rejects.toMatchObject({ details: { field: "training.personal" } });
    expect((await kept(["norms"])).layout.tensors.some(({ name }) => /gamma/.test(name))).toBe(false);
  });
});
