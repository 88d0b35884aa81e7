import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register } from "../../../bin/commands/compress.ts";
import { loadRelease } from "../../../client/model-cache/load-model-folder.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { openModel } from "../../../models/registry.ts";
import { federationConfig, type FederationConfig } from "../../../shared/config/federation.ts";
import { factsOf, MODEL_NAMES, withModelDefaults } from "../../../shared/config/models.ts";
import { encodeModel } from "../../../shared/quantize/model.ts";
import { MODEL_WEIGHTS_PATH, modelFiles } from "../../../shared/release/model-card.ts";
import { generatedData } from "../../../simulations/generated-data.ts";
import { ROOM_LABELS } from "../../../simulations/scenarios/labels.ts";
import { folderWith } from "../../fakes/dataset-folder.ts";
import { runCommand } from "./run-command.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "compress-"));
  await loadEngine();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A model/ in fp32 with initial weights. */
async function modelFolder(config: FederationConfig): Promise<string> {
  const built = await openModel(config, config.seed);
  const files = modelFiles(config, built.layout);
  files.set(MODEL_WEIGHTS_PATH, encodeModel(built.layout, built.getParams(), "fp32", []).bytes);
  built.dispose();
  return join(folderWith(Object.fromEntries(files)), "model");
}

function configOf(name: string, over: object = {}): FederationConfig {
  const labels = { depth: { kind: factsOf(name)?.depth ?? "metric" } };
  return federationConfig.parse(withModelDefaults({ federation: "test", model: { name }, labels, ...over }));
}

const compress = (...words: string[]) => runCommand(register, "compress", ...words);

test.each(MODEL_NAMES)("%s: int8 is a quarter, and the same model within a scale's step", async (name) => {
  const model = await modelFolder(configOf(name));
  const out = join(folder, name);
  const { out: text, code } = await compress("--model", model, "--out", out, "--json");
  expect(code).toBe(0);
  const { sizeBytes, fp32SizeBytes } = JSON.parse(text) as Record<string, number>;
  const card = (await readFile(join(out, "model.json"))).length;
  expect((sizeBytes as number) - card).toBeLessThan(0.4 * (fp32SizeBytes as number));
  const [before, after] = [await loadRelease(model), await loadRelease(out)];
  expect(after.config).toEqual(before.config);
  const largest = before.params.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = before.params.reduce((most, value, i) => Math.max(most, Math.abs(value - (after.params[i] ?? NaN))), 0);
  expect(worst).toBeGreaterThan(0);
  expect(worst).toBeLessThanOrEqual(largest / 127);
});

test("with data, no head loses more than is allowed, and what is said is what evaluation finds", async () => {
  const input = { size: [32, 32] };
  const model = await modelFolder(configOf("allulook4", { labels: ROOM_LABELS, input }));
  const data = await generatedData(folder, 1, 3, 32, 5);
  const out = join(folder, "scored");
  const words = ["--model", model, "--data", data, "--max-drop", "0", "--out", out];
  const { out: text, code } = await compress(...words, "--json");
  expect(code).toBe(0);
  const { accuracyDrop } = JSON.parse(text) as { accuracyDrop: Record<string, number> };
  expect(Object.keys(accuracyDrop)).toHaveLength(4);
  expect(Math.max(...Object.values(accuracyDrop))).toBeLessThanOrEqual(0);
});

test("a folder that is there, a format that is not, and a folder without a model are refused", async () => {
  expect(await compress("--model", folder, "--out", folder)).toMatchObject({ code: 2 });
  expect(await compress("--model", folder, "--out", join(folder, "new"))).toMatchObject({ code: 2 });
  expect(await compress("--model", folder, "--out", join(folder, "new"), "--dtype", "int4")).toMatchObject({ code: 2 });
});
