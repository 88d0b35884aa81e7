import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { register } from "../../../bin/commands/evaluate.ts";
import { evaluationJson, evaluationText } from "../../../bin/evaluation/tables.ts";
import { runCommand } from "./run-command.ts";

interface Stored {
  readonly name: string;
  readonly type: "bbox" | "segm";
  readonly groundTruth: Record<string, unknown>;
  readonly predictions: readonly Record<string, unknown>[];
  readonly stats: readonly (number | null)[];
}
let cases: Stored[];
let folder: string;

beforeAll(async () => {
  const file = resolve(import.meta.dirname, "../../vectors/coco/cases.json");
  ({ cases } = JSON.parse(await readFile(file, "utf8")) as { cases: Stored[] });
  folder = await mkdtemp(join(tmpdir(), "evaluate-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => {
  process.exitCode = 0;
});

const evaluate = (...words: string[]) => runCommand(register, "evaluate", ...words);

async function files(truth: unknown, found: unknown): Promise<[string, string, string, string]> {
  const paths = [join(folder, "found.json"), join(folder, "truth.json")] as const;
  await writeFile(paths[0], JSON.stringify(found));
  await writeFile(paths[1], JSON.stringify(truth));
  return ["--predictions", paths[0], "--ground-truth", paths[1]];
}

const named = (name: string): Stored => cases.find((one) => one.name === name) as Stored;

describe("COCO files", () => {
  test.each(["random bbox 1", "random segm 2"])("%s: pycocotools' table, as JSON and as text", async (name) => {
    const { groundTruth, predictions, stats } = named(name);
    const words = await files(groundTruth, predictions);
    const { out, code } = await evaluate(...words, "--json");
    expect(code).toBe(0);
    const { detection, details } = JSON.parse(out) as {
      detection: Record<string, number | null>;
      details: { detection: { classes: { name: string; curve50: number[] }[] } };
    };
    const names = ["mAP", "AP50", "AP75", "APsmall", "APmedium", "APlarge", "AR1", "AR10", "AR100"];
    for (const [i, metric] of [...names, "ARsmall", "ARmedium", "ARlarge"].entries()) {
      const wanted = stats[i] ?? null;
      expect([metric, detection[metric]]).toEqual([metric, wanted === null ? null : expect.closeTo(wanted, 6)]);
    }
    expect(details.detection.classes.map((one) => one.name)).toEqual(["class 3", "class 6", "class 9", "class 12"]);
    const text = (await evaluate(...words)).out;
    expect(text).toContain((stats[0] as number).toFixed(4));
    expect(text).toMatch(/class 6 .*\d\.\d{4}/);
  });

  test("boxes of masks, where boxes are asked for", async () => {
    const { groundTruth, predictions } = named("random segm 2");
    const { out } = await evaluate(...(await files(groundTruth, predictions)), "--type", "bbox", "--json");
    const { detection } = JSON.parse(out) as { detection: Record<string, number> };
    expect(detection["mAP"]).toBeGreaterThan(0);
    expect(detection["mAP"]).not.toBeCloseTo(named("random segm 2").stats[0] as number, 3);
  });

  test("detections of an unknown category are left out and said to be", async () => {
    const { groundTruth, predictions, stats } = named("an unknown category among the detections");
    const { out, err, code } = await evaluate(...(await files(groundTruth, predictions)), "--json");
    expect(code).toBe(0);
    expect(err).toContain("categories that");
    expect(err).toContain("(99)");
    expect(JSON.parse(out)).toMatchObject({ detection: { mAP: expect.closeTo(stats[0] as number, 9) } });
  });

  test("nothing to find: null, not 0", async () => {
    const { groundTruth, predictions } = named("nothing but a crowd");
    const { out, code } = await evaluate(...(await files(groundTruth, predictions)), "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ detection: { mAP: null, ARlarge: null } });
  });

  test("exit 1 and a coded error for an image that is not in the ground truth, and for a missing mask", async () => {
    const { groundTruth, predictions } = named("perfect");
    const strange = await evaluate(...(await files(groundTruth, [{ ...predictions[0], image_id: 77 }])), "--json");
    expect([strange.code, JSON.parse(strange.out)]).toMatchObject([1, { error: { code: "DATA_INVALID" } }]);
    expect(strange.err).toContain("there is no image 77");
    const maskless = await evaluate(...(await files(groundTruth, predictions)), "--type", "segm");
    expect([maskless.code, maskless.err]).toEqual([1, expect.stringContaining("has no segmentation")]);
  });

  test("exit 2 for a wrong file, a damaged one and missing options", async () => {
    const { groundTruth, predictions } = named("perfect");
    const words = await files(groundTruth, predictions);
    expect((await evaluate("--predictions", words[3], "--ground-truth", words[3])).code).toBe(2);
    expect((await evaluate("--predictions", join(folder, "none.json"), "--ground-truth", words[3])).code).toBe(2);
    expect((await evaluate("--predictions", words[1])).code).toBe(2);
    expect((await evaluate(...words, "--model", folder)).code).toBe(2);
    const scoreless = predictions.map((one) => ({ ...one, score: "high" }));
    expect((await evaluate(...(await files(groundTruth, scoreless)))).code).toBe(2);
  });
});

describe("tables", () => {
  const report = {
    metrics: {
      depth: { rmse: 0.25, delta1: 0.5, baselineRmse: 0.75, baselineDelta1: 0.125 },
      scene: { accuracy: 0.5, auroc: null },
    },
    details: {
      scene: {
        classes: [
          {
            name: "benign",
            truth: 3,
            predicted: 2,
            hits: 1,
            iou: 0.25,
            f1: 0.4,
            precision: 0.5,
            recall: 1 / 3,
            specificity: null,
          },
        ],
        confusion: [[1]],
        calibration: [],
        curves: [{ name: "benign", auroc: 0.875, averagePrecision: null, rocCurve: [], precisionCurve: [] }],
      },
    },
    examples: 5,
    sites: [
      { site: "north", examples: 2, metrics: { depth: { rmse: 0.125, delta1: 1 } } },
      { site: "south", examples: 3, metrics: { scene: { accuracy: 0.5, auroc: null } } },
    ],
  };

  test("a line per site, one of all, one of the mean depth map; then one per class", () => {
    expect(evaluationText(report).split("\n")).toEqual([
      "depth",
      "  site                                     pictures    rmse  delta1",
      "  north                                           2  0.1250  1.0000",
      "  south                                           3       -       -",
      "  all                                             5  0.2500  0.5000",
      "  mean depth map of the training pictures            0.7500  0.1250",
      "",
      "scene",
      "  site   pictures  accuracy  auroc",
      "  north         2         -      -",
      "  south         3    0.5000      -",
      "  all           5    0.5000      -",
      "",
      "  class   members     IoU  precision  recall      f1  specificity   AUROC  AP",
      "  benign        3  0.2500     0.5000  0.3333  0.4000            -  0.8750   -",
      "",
      "  truth \\ prediction  benign",
      "  benign                   1",
    ]);
  });

  test("the JSON document begins with the heads", () => {
    expect(Object.keys(evaluationJson(report))).toEqual(["depth", "scene", "examples", "sites", "details"]);
    expect(evaluationText({ metrics: {}, details: {}, examples: 2, sites: [] })).toContain("no labels");
  });
});
