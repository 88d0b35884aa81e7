/** `explain` and `predict` from a release's model folder and a dataset on disk to files that a person opens. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { register as explain } from "../../../bin/commands/explain.ts";
import { register as predict } from "../../../bin/commands/predict.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { buildModel } from "../../../models/registry.ts";
import { encodeModel } from "../../../shared/quantize/model.ts";
import { modelFiles } from "../../../shared/release/model-card.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { explanationReport } from "../../../simulations/report/explanation-schema.ts";
import { writeDataset } from "../../../simulations/scenarios/write-dataset.ts";
import { expectToOpen } from "../../fakes/browser.ts";
import { folderWith } from "../../fakes/dataset-folder.ts";
import { datasetOfSamples, squares, testConfig } from "../../models/synthetic-samples.ts";
import { runCommand } from "./run-command.ts";

beforeAll(async () => {
  await loadEngine();
});

/** A model/ folder with random weights. */
function modelFolder(over: Record<string, unknown>): string {
  const config = testConfig({ input: { size: [32, 32] }, ...over });
  const built = buildModel(config, 7);
  const rng = Rng.of("explain command");
  const params = built.getParams().map((value) => value + 0.05 * rng.normal());
  const weights = encodeModel(built.layout, params, "fp32", []).bytes;
  built.dispose();
  const files = [...modelFiles(config, built.layout), ["model/weights.bin", weights] as const];
  return folderWith(Object.fromEntries(files.map(([path, bytes]) => [path, bytes])));
}

async function dataFolder(): Promise<string> {
  const dir = join(folderWith({}), "squares");
  const { labels } = testConfig();
  await writeDataset(dir, datasetOfSamples(squares(3)), { labels, description: "squares", generator: {} });
  return dir;
}

describe("allulook explain", () => {
  test("writes a report with every head, tested maps and pictures", async () => {
    const out = folderWith({});
    const data = await dataFolder();
    const words = ["--model", modelFolder({}), "--data", data, "--out", out, "--pictures", "1", "--random-orders", "1"];
    const { out: text, code } = await runCommand(explain, "explain", ...words, "--json");
    expect(code).toBe(0);
    const report = explanationReport.parse(JSON.parse(text));
    expect(JSON.parse(readFileSync(join(out, "explanations.json"), "utf8"))).toEqual(JSON.parse(text));
    const [picture] = report.pictures;
    const heads = new Set(picture?.explanations.map(({ head }) => head));
    expect(heads).toEqual(new Set(["segmentation", "detection", "depth", "scene"]));
    expect(report.methods).toEqual(["integratedGradients", "attentionRollout", "crossAttention"]);
    expect(report).toMatchObject({ release: null, data: { generated: true, size: 3 }, unavailable: [] });
    for (const { head, contributions, files, words: counted } of picture?.explanations ?? []) {
      const modalities = head === "depth" ? ["rgb", "text"] : ["rgb", "depth", "text"];
      expect(Object.keys(contributions ?? {})).toEqual(modalities);
      expect(files.length).toBe(head === "depth" ? 2 : 4);
      for (const file of files) expect((await sharp(join(out, file)).metadata()).width).toBe(360);
      expect(Object.values(counted).map((list) => list.length)).toEqual([5, 5]);
    }
    for (const row of report.faithfulness) {
      for (const area of [row.deletion, row.insertion, row.randomDeletion]) expect(area).toBeGreaterThan(0);
    }
    const page = readFileSync(join(out, "interpretability.html"), "utf8");
    for (const said of ["Do the maps tell the truth?", "cannot say", "none: a bare model folder", picture?.id ?? ""]) {
      expect(page).toContain(said);
    }
    expect(page).not.toMatch(/<script|https?:\/\//);
    const pictures = page.match(/<img src="data:image\/png;base64,/g)?.length ?? 0;
    expect(pictures).toBeGreaterThan(15);
    await expectToOpen(join(out, "interpretability.html"), { charts: 0, pictures });
  }, 300_000);

  test("says what a model of the zoo cannot be asked, and explains the rest", async () => {
    const out = folderWith({});
    const model = modelFolder({
      model: { name: "depth-2d" },
      labels: { depth: { kind: "metric" } },
      input: { size: [32, 32], modalities: ["rgb"] },
    });
    const words = [
      "--model",
      model,
      "--data",
      await dataFolder(),
      "--out",
      out,
      "--pictures",
      "1",
      "--random-orders",
      "0",
    ];
    const { out: text, code } = await runCommand(explain, "explain", ...words);
    expect(code).toBe(0);
    expect(text).toContain("not possible: MODEL_NO_ATTENTION");
    const report = explanationReport.parse(JSON.parse(readFileSync(join(out, "explanations.json"), "utf8")));
    expect(report).toMatchObject({ methods: ["integratedGradients"], faithfulness: [] });
    expect(report.pictures[0]?.explanations).toMatchObject([
      { head: "depth", contributions: { rgb: expect.any(Number) } },
    ]);
    expect(readFileSync(join(out, "interpretability.html"), "utf8")).toContain("MODEL_NO_ATTENTION");
  }, 300_000);

  test("exit 2 without a model in the folder", async () => {
    const { code, err } = await runCommand(
      explain,
      "explain",
      "--model",
      folderWith({}),
      "--data",
      await dataFolder(),
      "--out",
      folderWith({}),
    );
    expect([code, err]).toEqual([2, expect.stringContaining("USAGE")]);
  });
});

test("allulook predict paints overlays of every answer, or none where they are not wanted", async () => {
  const data = await dataFolder();
  const labels = { segmentation: ["ground", "square"], scene: ["left", "right"], depth: { kind: "none" } };
  const model = modelFolder({ labels });
  const image = join(data, readdirSync(data).find((name) => name.endsWith(".png")) ?? "");
  const [out, bare] = [folderWith({}), folderWith({})];
  const words = (to: string) => ["--model", model, "--image", image, "--text", "a square on the left", "--out", to];
  const { out: text, code } = await runCommand(predict, "predict", ...words(out));
  expect(code).toBe(0);
  expect(text).toContain("what each input contributes");
  const { explanations, files } = JSON.parse(readFileSync(join(out, "prediction.json"), "utf8")) as {
    explanations: { head: string; files: string[] }[];
    files: string[];
  };
  expect(explanations.map(({ head }) => head)).toEqual(expect.arrayContaining(["segmentation", "scene"]));
  for (const file of explanations.flatMap((one) => one.files)) {
    expect(files).toContain(file);
    expect(existsSync(join(out, file))).toBe(true);
  }
  expect(files).toEqual(expect.arrayContaining(["why-certainty.png"]));
  expect((await runCommand(predict, "predict", ...words(bare), "--no-explanations", "--json")).code).toBe(0);
  expect(readdirSync(bare).filter((name) => name.startsWith("why-"))).toEqual([]);
}, 300_000);
