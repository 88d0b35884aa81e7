/** `allulook evaluate`: metrics per head of a release on data at hand, or COCO detections against COCO ground truth. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { annotationsFile } from "../../client/data/annotations.ts";
import { openDataset } from "../../client/data/open-dataset.ts";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { DetectionScorer } from "../../models/metrics/detection.ts";
import { evaluateExactly } from "../../models/metrics/evaluate.ts";
import type { Metrics } from "../../models/metrics/statistics.ts";
import { buildModel } from "../../models/registry.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError } from "../../shared/errors.ts";
import { printResult } from "../output.ts";

const coordinate = z.number().min(-1e6).max(1e6);
/** COCO's result format. */
const predictionsFile = z
  .array(
    z.object({
      image_id: z.union([z.int(), z.string().max(256)]),
      category_id: z.int(),
      bbox: z.tuple([coordinate, coordinate, coordinate.min(0), coordinate.min(0)]),
      score: z.number().min(0).max(1),
    }),
  )
  .max(10_000_000);

interface EvaluateOptions {
  readonly model?: string;
  readonly data?: string;
  readonly modalities?: string;
  readonly predictions?: string;
  readonly groundTruth?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("evaluate")
    .description("score a release on a dataset, or COCO detections against COCO ground truth")
    .option("--model <dir>", "release folder with a model/")
    .option("--data <dir>", "dataset folder")
    .option("--modalities <list>", "modalities to use, such as rgb,depth; the others are withheld")
    .option("--predictions <file>", "COCO result JSON: image_id, category_id, bbox, score")
    .option("--ground-truth <file>", "COCO annotations JSON")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook evaluate --model run/releases/5 --data ./pictures")
    .action(async (options: EvaluateOptions) => {
      const { model, data, predictions, groundTruth } = options;
      let metrics: Metrics;
      if (model !== undefined && data !== undefined) metrics = await scoreModel(model, data, options.modalities);
      else if (predictions !== undefined && groundTruth !== undefined) {
        metrics = await scorePredictions(predictions, groundTruth);
      } else throw new CodedError("USAGE", "give --model and --data, or --predictions and --ground-truth");
      const lines = Object.entries(metrics).flatMap(([head, values]) =>
        Object.entries(values ?? {}).map(
          ([name, value]) => `${head.padEnd(16)} ${name.padEnd(16)} ${value.toFixed(4)}`,
        ),
      );
      printResult(
        options.json,
        metrics,
        lines.length === 0 ? "the data has no labels to score against" : lines.join("\n"),
      );
    });
}

async function scoreModel(model: string, data: string, modalities: string | undefined): Promise<Metrics> {
  const { config: released, seed, params } = await loadRelease(resolve(model));
  const config = {
    ...released,
    input: {
      ...released.input,
      ...(modalities !== undefined && { modalities: known(modalities, released.input.modalities) }),
    },
  };
  const dataset = await openDataset(resolve(data), { labels: config.labels });
  await loadEngine();
  const built = buildModel(released, seed);
  try {
    built.setParams(params);
    return await evaluateExactly(built.model, config, dataset.size, (index) => dataset.load(index), {
      batchSize: 8,
      meanDepth: null,
      withheld: { text: !config.input.modalities.includes("text") },
    });
  } finally {
    built.dispose();
  }
}

function known<T extends string>(list: string, allowed: readonly T[]): T[] {
  return list.split(",").map((name) => {
    const found = allowed.find((modality) => modality === name);
    if (found === undefined)
      throw new CodedError("USAGE", `--modalities: expected some of ${allowed.join(",")}, got "${name}"`);
    return found;
  });
}

async function scorePredictions(predictionsPath: string, truthPath: string): Promise<Metrics> {
  const truth = parseConfig(annotationsFile, await readJson(truthPath), truthPath);
  const predictions = parseConfig(predictionsFile, await readJson(predictionsPath), predictionsPath);
  const classes = new Map((truth.categories ?? []).map(({ id }, index) => [id, index]));
  const classOf = (id: number, file: string): number => {
    const index = classes.get(id);
    if (index === undefined)
      throw new CodedError("DATA_INVALID", `${file}: there is no category ${id}`, { file, category: id });
    return index;
  };
  const detections = grouped(predictions, (prediction) => prediction.image_id);
  const objects = grouped(truth.annotations ?? [], (annotation) => annotation.image_id);
  const images = new Set(truth.images.map((image) => image.id));
  for (const id of detections.keys()) {
    if (!images.has(id))
      throw new CodedError("DATA_INVALID", `${predictionsPath}: there is no image ${id}`, { file: predictionsPath });
  }
  const scorer = new DetectionScorer(classes.size);
  for (const id of images) {
    if (id === undefined) continue;
    const found = (detections.get(id) ?? []).map(({ category_id, score, bbox: [x, y, width, height] }) => ({
      classIndex: classOf(category_id, predictionsPath),
      score,
      x,
      y,
      width,
      height,
    }));
    const boxes = (objects.get(id) ?? []).flatMap(({ category_id, bbox, iscrowd }) => {
      if (category_id === undefined || bbox === undefined) return [];
      const [x, y, width, height] = bbox;
      const crowd = iscrowd === 1 || iscrowd === true;
      return [{ classIndex: classOf(category_id, truthPath), x, y, width, height, crowd }];
    });
    scorer.add(found, boxes);
  }
  const detection = scorer.result();
  return detection === null ? {} : { detection };
}

function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new CodedError("USAGE", `cannot read ${path} as JSON`, { file: path }, { cause: error });
  }
}
