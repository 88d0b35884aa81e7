/** `allulook evaluate`: metrics per head of a release on data at hand, or COCO detections against COCO ground truth. */
import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { cocoResults, cocoTruth } from "../../client/data/coco-results.ts";
import { COCO_METRICS } from "../../models/metrics/coco/score.ts";
import { detectionDetails, detectionMetrics } from "../../models/metrics/exact.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError } from "../../shared/errors.ts";
import { compareCoco } from "../evaluation/coco.ts";
import { evaluateRelease } from "../evaluation/release.ts";
import { evaluationJson, type EvaluationReport, evaluationText } from "../evaluation/tables.ts";
import { reportRobustness, robustnessText } from "../evaluation/robustness.ts";
import { integer } from "../numbers.ts";
import { note, printResult } from "../output.ts";

interface EvaluateOptions {
  readonly model?: string;
  readonly data?: readonly string[];
  readonly trainingData?: readonly string[];
  readonly modalities?: string;
  readonly personal?: string;
  readonly predictions?: string;
  readonly groundTruth?: string;
  readonly type?: "bbox" | "segm";
  readonly robustness?: boolean;
  readonly corruptions?: string;
  readonly severities?: string;
  readonly seed: number;
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("evaluate")
    .description("score a release on datasets, or COCO detections against COCO ground truth")
    .option("--model <dir>", "release folder with a model/")
    .option("--data <dir...>", "dataset folders; sites are those that samples name, or the folders")
    .option(
      "--training-data <dir...>",
      "folders of the training pictures, to score their mean depth map beside the model",
    )
    .option("--modalities <list>", "modalities to use, such as rgb,depth; the others are withheld")
    .option("--personal <file>", "a site's personal params, where the federation has some")
    .option("--predictions <file>", "COCO result JSON: image_id, category_id, bbox or segmentation, score")
    .option("--ground-truth <file>", "COCO annotations JSON")
    .addOption(
      new Option("--type <type>", "compare boxes or masks (default: boxes where the results have them)").choices([
        "bbox",
        "segm",
      ]),
    )
    .option("--robustness", "score in low light, noise, fog, rain, with parts hidden, without depth and text, too")
    .option("--corruptions <list>", "of --robustness: some, such as fog,no-depth; all unless given")
    .option("--severities <list>", "of --robustness: rising numbers up to 5", "1,2,3,4,5")
    .option("--seed <n>", "of --robustness: the same seed corrupts in the same way", integer, 7)
    .option("--out <dir>", "of --robustness: where robustness.json and robustness.html go", "robustness")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      `
Examples: allulook evaluate --model run/releases/5 --data ./north ./south
          allulook evaluate --model run/releases/5 --data ./north --robustness --out robustness
          allulook evaluate --predictions results.json --ground-truth instances_val2017.json`,
    )
    .action(async (options: EvaluateOptions) => {
      if (options.robustness === true) {
        const written = await robustness(options);
        printResult(options.json, written.report, robustnessText(written));
        return;
      }
      const report = await evaluate(options);
      printResult(options.json, evaluationJson(report), evaluationText(report));
    });
}

async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { model, data, predictions, groundTruth } = options;
  const ofModel = model !== undefined && data !== undefined;
  const ofFile = predictions !== undefined && groundTruth !== undefined;
  const mixed = (model ?? data) !== undefined && (predictions ?? groundTruth) !== undefined;
  if (mixed || !(ofModel || ofFile)) {
    throw new CodedError("USAGE", "give --model and --data, or --predictions and --ground-truth");
  }
  if (!ofModel) return scorePredictions(predictions as string, groundTruth as string, options.type);
  const { modalities, trainingData, personal } = options;
  const onNote = (words: string | null) => {
    if (words !== null) note(words);
  };
  return evaluateRelease({ model, data, modalities, trainingData, personal, onSample, onNote });
}

async function robustness(options: EvaluateOptions) {
  const { model, data, modalities, corruptions, severities, seed, out } = options;
  if (model === undefined || data === undefined || (options.predictions ?? options.groundTruth) !== undefined) {
    throw new CodedError("USAGE", "--robustness goes with --model and --data");
  }
  return reportRobustness({ model, data, modalities, corruptions, severities, seed, out, onSample });
}

/** A counting line, on a terminal only. */
function onSample(done: number, all: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${done === all ? "" : `${done}/${all} pictures`}`);
}

async function scorePredictions(
  predictionsPath: string,
  truthPath: string,
  type: "bbox" | "segm" | undefined,
): Promise<EvaluationReport> {
  const content = parseConfig(cocoTruth, await readJson(truthPath), truthPath);
  const results = parseConfig(cocoResults, await readJson(predictionsPath), predictionsPath);
  const guessed = results[0] === undefined || results[0].bbox !== undefined ? "bbox" : "segm";
  const { scorer, classNames, unknownCategories } = compareCoco(
    { predictions: { path: predictionsPath, results }, truth: { path: truthPath, content } },
    type ?? guessed,
  );
  if (unknownCategories.length > 0) {
    note(`left out: detections of categories that ${truthPath} does not have (${unknownCategories.join(", ")})`);
  }
  const metrics = detectionMetrics(scorer) ?? Object.fromEntries(COCO_METRICS.map((name) => [name, null]));
  const detection = detectionDetails(scorer, classNames);
  return {
    metrics: { detection: metrics },
    details: detection === null ? {} : { detection },
    examples: null,
    sites: [],
  };
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new CodedError("USAGE", `cannot read ${path} as JSON`, { file: path }, { cause: error });
  }
}
