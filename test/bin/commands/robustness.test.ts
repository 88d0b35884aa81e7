import { beforeAll, describe, expect, test } from "@jest/globals";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { register } from "../../../bin/commands/evaluate.ts";
import { loadEngine } from "../../../models/engine/node/load.ts";
import { CORRUPTIONS } from "../../../shared/config/robustness.ts";
import type { RobustnessReport } from "../../../simulations/report/robustness.ts";
import { writeDataset } from "../../../simulations/scenarios/write-dataset.ts";
import { expectToOpen } from "../../fakes/browser.ts";
import { folderWith } from "../../fakes/dataset-folder.ts";
import { untrainedRelease } from "../../fakes/untrained-release.ts";
import { datasetOfSamples, squares, testConfig } from "../../models/synthetic-samples.ts";
import { runCommand } from "./run-command.ts";

const config = testConfig({ input: { size: [32, 32] } });
let model: string;
let data: string;

beforeAll(async () => {
  await loadEngine();
  model = await untrainedRelease(config);
  data = join(folderWith({}), "squares");
  const samples = squares(3).map((sample, i) => (i === 2 ? { ...sample, depth: null, captions: null } : sample));
  await writeDataset(data, datasetOfSamples(samples), { labels: config.labels, description: "", generator: {} });
});

const evaluate = (...words: string[]) => runCommand(register, "evaluate", "--robustness", ...words);

describe("evaluate --robustness", () => {
  test("prints a table of drops per head, and writes JSON and a page, the same for the same seed", async () => {
    const out = join(folderWith({}), "robust");
    const words = ["--model", model, "--data", data, "--severities", "1,5"];
    const { out: text, code } = await evaluate(...words, "--out", out);
    expect(code).toBe(0);
    const heads = ["segmentation: mIoU", "detection: mAP", "depth from rgb: delta1", "scene: accuracy"];
    for (const head of heads) expect(text).toContain(head);
    for (const name of CORRUPTIONS)
      expect(text.match(new RegExp(`^  ${name} +[23] `, "gm"))?.length).toBe(heads.length);

    const file = await readFile(join(out, "robustness.json"), "utf8");
    const report = JSON.parse(file) as RobustnessReport;
    expect(report).toMatchObject({ schema: 1, seed: 7, pictures: 3, severities: [1, 5], data: ["squares"] });
    expect(report.corruptions.map(({ corruption, pictures }) => [corruption, pictures])).toEqual(
      CORRUPTIONS.map((name) => [name, name.startsWith("no-") ? 2 : 3]),
    );
    const page = await readFile(join(out, "robustness.html"), "utf8");
    expect(page.match(/data:image\/png/g)?.length).toBe(6 * 3);
    for (let chart = 0; chart < 4; chart++) expect(page).toContain(`id="chart-${chart}"`);

    await expectToOpen(join(out, "robustness.html"), { charts: 4, pictures: 6 * 3 });

    const again = join(folderWith({}), "robust");
    const json = await evaluate(...words, "--out", again, "--json");
    expect(await readFile(join(again, "robustness.json"), "utf8")).toBe(file);
    expect(JSON.parse(json.out)).toEqual(report);
    await evaluate(...words, "--out", again, "--seed", "8");
    expect(await readFile(join(again, "robustness.json"), "utf8")).not.toBe(file);
  });

  test("what the model is not given cannot get lost", async () => {
    const out = join(folderWith({}), "robust");
    const words = ["--model", model, "--data", data, "--out", out, "--modalities", "rgb,text"];
    const { out: json } = await evaluate(
      ...words,
      "--corruptions",
      "rain,no-depth,no-text",
      "--severities",
      "3",
      "--json",
    );
    const { corruptions } = JSON.parse(json) as RobustnessReport;
    expect(corruptions.map(({ corruption }) => corruption)).toEqual(["rain", "no-text"]);
  });

  test.each([
    [["--corruptions", "fog,snow"], 'got "snow"'],
    [["--severities", "2,1"], "rising numbers"],
    [["--severities", "1,6"], "rising numbers"],
    [["--severities", "1,,2"], "rising numbers"],
    [["--predictions", "x.json"], "--model and --data"],
  ])("wrong usage is exit 2: %j", async (words, message) => {
    const { code, err } = await evaluate("--model", model, "--data", data, ...words);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });
});
