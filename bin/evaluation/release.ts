/** A release scored on datasets at hand: every site for itself, and all together. */
import { basename, resolve } from "node:path";
import { openDataset } from "../../client/data/open-dataset.ts";
import { loadRelease, type LoadedModel } from "../../client/model-cache/load-model-folder.ts";
import { openRelease, personalWords } from "../../client/model-cache/open-release.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { MeanDepthMap } from "../../models/metrics/depth.ts";
import { evaluateSites, type SiteSamples } from "../../models/metrics/evaluate.ts";
import { geometryOf } from "../../models/preprocess/prepare.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { PredictConfig } from "../../models/allulook4/predict.ts";
import { chosenMetrics } from "../../shared/config/own-model.ts";
import { CodedError } from "../../shared/errors.ts";
import type { EvaluationReport } from "./tables.ts";

export interface EvaluationInput {
  readonly model: string;
  /** Dataset folders. */
  readonly data: readonly string[];
  /** Comma-separated; the others are withheld. */
  readonly modalities?: string | undefined;
  /** File of a site's personal params. */
  readonly personal?: string | undefined;
  readonly onSample?: (done: number, all: number) => void;
  /** What people should know of the model; null: nothing. */
  readonly onNote?: (words: string | null) => void;
}

export interface ReleaseEvaluation extends EvaluationInput {
  /** Folders of the pictures trained on: their mean depth map is scored beside the model. */
  readonly trainingData?: readonly string[] | undefined;
}

export const BATCH = 8;

/** A model with its weights, and what it is to be scored on. */
export interface OpenedModel {
  readonly built: BuiltModel;
  /** Without the modalities that are withheld. */
  readonly config: PredictConfig;
  readonly withheld: { readonly text: boolean };
  readonly sites: readonly SiteSamples[];
  /** Of all sites. */
  readonly pictures: number;
}

/** Opens model and datasets for `work`, and lets go of the model after it. @throws CodedError USAGE, DATA_* */
export async function withModel<T>(
  loaded: LoadedModel,
  options: Omit<EvaluationInput, "model">,
  work: (opened: OpenedModel) => Promise<T>,
): Promise<T> {
  const { config: released } = loaded;
  options.onNote?.(personalWords(loaded));
  const input =
    options.modalities === undefined
      ? released.input
      : { ...released.input, modalities: known(options.modalities, released.input.modalities) };
  const config = { ...released, input };
  const folders = await openAll(options.data, config);
  await loadEngine();
  const built = await openRelease(loaded);
  try {
    const pictures = folders.reduce((sum, { dataset }) => sum + dataset.size, 0);
    const withheld = { text: !input.modalities.includes("text") };
    return await work({ built, config, withheld, sites: bySite(folders), pictures });
  } finally {
    built.dispose();
  }
}

/** @throws CodedError USAGE for unknown modalities, RELEASE_*, DATA_* */
export async function evaluateRelease(options: ReleaseEvaluation): Promise<EvaluationReport> {
  return evaluateModel(await loadRelease(resolve(options.model), options.personal), options);
}

/** The same for a model that is loaded. @throws CodedError USAGE for unknown modalities, DATA_* */
export async function evaluateModel(
  model: LoadedModel,
  options: Omit<ReleaseEvaluation, "model">,
): Promise<EvaluationReport> {
  return withModel(model, options, async ({ built, config, withheld, sites: sets, pictures }) => {
    const trained = await openAll(options.trainingData ?? [], config);
    const { pooled, sites } = await evaluateSites(
      built,
      config,
      sets,
      { batchSize: BATCH, meanDepth: trained.length === 0 ? null : await meanDepthOf(trained, config), withheld },
      (done) => options.onSample?.(done, pictures),
    );
    return {
      metrics: chosenMetrics(model.config.model.own, pooled.metrics()),
      details: pooled.details(),
      examples: pooled.examples,
      sites: sites.map(({ site, evaluation }) => ({
        site,
        examples: evaluation.examples,
        metrics: chosenMetrics(model.config.model.own, evaluation.metrics()),
      })),
    };
  });
}

interface Folder {
  readonly name: string;
  readonly dataset: Dataset;
}

async function openAll(dirs: readonly string[], config: PredictConfig): Promise<Folder[]> {
  const names = dirs.map((dir) => basename(resolve(dir)));
  return Promise.all(
    dirs.map(async (dir, i) => ({
      // Two folders of one name are told apart by their paths.
      name: names.indexOf(names[i] as string) === names.lastIndexOf(names[i] as string) ? (names[i] as string) : dir,
      dataset: await openDataset(resolve(dir), { labels: config.labels }),
    })),
  );
}

/** The sites that samples name, or a folder as one site where they name none. */
function bySite(folders: readonly Folder[]): SiteSamples[] {
  return folders.flatMap(({ name, dataset }) => {
    const members = new Map<string, number[]>();
    for (const [index, { site }] of dataset.entries.entries()) {
      const label = site === null ? name : folders.length === 1 ? site : `${name}/${site}`;
      const indices = members.get(label);
      if (indices === undefined) members.set(label, [index]);
      else indices.push(index);
    }
    return [...members].map(([site, indices]) => ({
      site,
      count: indices.length,
      load: (i: number) => dataset.load(indices[i] as number),
    }));
  });
}

async function meanDepthOf(folders: readonly Folder[], config: PredictConfig): Promise<MeanDepthMap | null> {
  if (config.labels.depth.kind === "none") return null;
  const { contentHeight, contentWidth } = geometryOf(config);
  const mean = new MeanDepthMap(contentWidth, contentHeight);
  for (const { dataset } of folders) {
    for (let index = 0; index < dataset.size; index++) {
      const { depth, width, height } = await dataset.load(index);
      if (depth !== null) mean.add(depth, width, height);
    }
  }
  return mean;
}

function known<T extends string>(list: string, allowed: readonly T[]): T[] {
  return list.split(",").map((name) => {
    const found = allowed.find((modality) => modality === name);
    if (found === undefined)
      throw new CodedError("USAGE", `--modalities: expected some of ${allowed.join(",")}, got "${name}"`);
    return found;
  });
}
