/** The interpretability report of a release on datasets: explains some pictures, tests the maps, writes page and files. */
import { join, resolve } from "node:path";
import { loadRelease, type LoadedModel } from "../client/model-cache/load-model-folder.ts";
import { openRelease, personalWords } from "../client/model-cache/open-release.ts";
import { datasetOf } from "../client/data/open-dataset.ts";
import { readSource } from "../client/data/source.ts";
import { predict, type Prediction } from "../models/allulook4/predict.ts";
import { loadEngine } from "../models/engine/node/load.ts";
import { confidenceOf, spreadTellsError } from "../models/explain/confidence.ts";
import { type ExplainedSample, explainSample, METHODS } from "../models/explain/explain.ts";
import { type TestedMap, testMaps, testTable } from "../models/explain/test-maps.ts";
import type { Dataset, Sample } from "../models/preprocess/sample.ts";
import type { BuiltModel } from "../models/registry.ts";
import { factsOf } from "../shared/config/models.ts";
import { NodeCrypto } from "../shared/node/crypto.ts";
import { writeFileDurably } from "../shared/node/files.ts";
import { folderOnDisk } from "../shared/node/release-folder.ts";
import { MANIFEST_PATH } from "../shared/release/manifest.ts";
import { sha256Of } from "../shared/release/ports.ts";
import { HEADS } from "../shared/release/scores.ts";
import { Rng } from "../shared/rng/rng.ts";
import { type ExplainedPicture, explanationPage } from "./report/explanation-page.ts";
import { confidencePanels, explanationPanels, type ExplanationPanels } from "./report/explanation-panels.ts";
import {
  type ExplanationReport,
  explanationReport,
  type ReportedExplanation,
  type ReportedPicture,
} from "./report/explanation-schema.ts";
import { safeName } from "./report/html.ts";
import { picturePanels } from "./report/pictures.ts";

export interface ExplanationSetting {
  /** Release folder. */
  readonly model: string;
  /** File of a site's personal params, where the federation has some. */
  readonly personal?: string | undefined;
  /** Dataset folders. */
  readonly data: readonly string[];
  readonly out: string;
  /** How many pictures, spread evenly over the data. */
  readonly pictures: number;
  /** Random orders that each map is compared with; 0: no deletion and insertion test. */
  readonly randomOrders: number;
  readonly seed: number;
  /** What people should know of this model before they look. */
  readonly onNews?: (words: string) => void;
  readonly onPicture?: (done: number, all: number, id: string) => void;
}

export interface WrittenExplanations {
  readonly report: ExplanationReport;
  readonly html: string;
  readonly json: string;
}

/** @throws CodedError RELEASE_*, DATA_*, USAGE */
export async function explainRelease(setting: ExplanationSetting): Promise<WrittenExplanations> {
  const loaded = await loadRelease(resolve(setting.model), setting.personal);
  const news = personalWords(loaded);
  if (news !== null) setting.onNews?.(news);
  const sources = await Promise.all(setting.data.map(async (dir) => readSource(resolve(dir))));
  const datasets = sources.map((source) => datasetOf(source, { labels: loaded.config.labels }));
  const engine = await loadEngine();
  const built = await openRelease(loaded);
  const shown: ExplainedPicture[] = [];
  const reported: ReportedPicture[] = [];
  const tested: TestedMap[] = [];
  const unavailable = new Map<string, string>();
  try {
    const chosen = spread(datasets, setting.pictures);
    for (const [i, { dataset, index }] of chosen.entries()) {
      const sample = await dataset.load(index);
      const rng = Rng.of(setting.seed, "explanations", sample.id);
      const { explained, picture, entry } = await explainPicture(
        built,
        loaded,
        sample,
        rng,
        join(setting.out, "pictures"),
        i + 1,
      );
      if (setting.randomOrders > 0) tested.push(...testMaps(explained, setting.randomOrders, rng));
      for (const { code, message } of explained.unavailable) unavailable.set(code, message);
      shown.push(picture);
      reported.push(entry);
      setting.onPicture?.(i + 1, chosen.length, sample.id);
    }
  } finally {
    built.dispose();
  }
  const used = new Set(reported.flatMap(({ explanations }) => explanations.flatMap(methodsOf)));
  const report = explanationReport.parse({
    schema: 1,
    engine: engine.backend,
    seed: setting.seed,
    model: modelFacts(loaded, built.model.countParams()),
    release: await releaseFacts(loaded, setting.model),
    data: {
      folders: setting.data.map((dir) => resolve(dir).split("/").at(-1) ?? dir),
      size: datasets.reduce((sum, { size }) => sum + size, 0),
      generated: sources.some(({ generated }) => generated),
    },
    methods: METHODS.filter((method) => used.has(method)),
    unavailable: [...unavailable].map(([code, message]) => ({ code, message })),
    randomOrders: setting.randomOrders,
    faithfulness: testTable(tested).map(({ areas, random, ...row }) => ({
      ...row,
      deletion: areas.deletion,
      insertion: areas.insertion,
      randomDeletion: random.deletion,
      randomInsertion: random.insertion,
    })),
    pictures: reported,
  } satisfies ExplanationReport);
  const json = join(setting.out, "explanations.json");
  const html = join(setting.out, "interpretability.html");
  await writeFileDurably(json, `${JSON.stringify(report, null, 2)}\n`);
  await writeFileDurably(html, await explanationPage(report, shown));
  return { report, html, json };
}

const methodsOf = ({ files, words }: ReportedPicture["explanations"][number]) =>
  METHODS.filter((method) => method in words || files.some((file) => file.includes(`-${method}-`)));

/** At most `count` samples, evenly over all datasets. */
function spread(datasets: readonly Dataset[], count: number): { dataset: Dataset; index: number }[] {
  const all = datasets.flatMap((dataset) => Array.from({ length: dataset.size }, (_, index) => ({ dataset, index })));
  const some = Math.min(count, all.length);
  return Array.from(
    { length: some },
    (_, i) => all[Math.floor(((i + 0.5) * all.length) / some)] as (typeof all)[number],
  );
}

async function explainPicture(
  built: BuiltModel,
  { config }: LoadedModel,
  sample: Sample,
  rng: Rng,
  folder: string,
  number: number,
): Promise<{ explained: ExplainedSample; picture: ExplainedPicture; entry: ReportedPicture }> {
  const prediction = predict(built, config, sample);
  const withoutDepth = config.labels.depth.kind === "none" ? null : predict(built, config, sample, { depth: true });
  const explained = explainSample(built, config, sample, prediction);
  const confidence = confidenceOf(built, config, explained, sample, rng);
  const picture: ExplainedPicture = {
    seen: await picturePanels({ sample, labels: config.labels, prediction, withoutDepth }),
    confidence: await confidencePanels(sample, confidence, prediction),
    targets: await explanationPanels(sample, explained),
  };
  const prefix = `${number}-${safeName(sample.id)}`;
  for (const { name, png } of [picture.confidence, ...picture.targets.map(({ panels }) => panels)].flat()) {
    await writeFileDurably(join(folder, `${prefix}-${name}.png`), png);
  }
  return {
    explained,
    picture,
    entry: entryOf(sample, explained, picture, confidence.depthSpread, withoutDepth, config.labels, prefix),
  };
}

function entryOf(
  sample: Sample,
  explained: ExplainedSample,
  { targets }: ExplainedPicture,
  depthSpread: Float32Array | null,
  withoutDepth: Prediction | null,
  labels: LoadedModel["config"]["labels"],
  prefix: string,
): ReportedPicture {
  const depth = withoutDepth?.depth ?? null;
  const known = depthSpread !== null && depth !== null && sample.depth !== null;
  return {
    id: sample.id,
    site: sample.site,
    words: [...explained.words],
    spreadTellsError: known ? spreadTellsError(depthSpread, depth, sample.depth, labels.depth.kind) : null,
    explanations: reportedExplanations(explained, targets, `pictures/${prefix}`),
  };
}

/** The explanations of one sample in numbers; `prefix` is that of the panels' files. */
export function reportedExplanations(
  { explanations }: ExplainedSample,
  targets: readonly ExplanationPanels[],
  prefix: string,
): ReportedExplanation[] {
  return explanations.map(({ target, score, absentScore, shares, gap, attributions }, i) => ({
    head: target.head,
    label: target.label,
    score,
    absentScore,
    contributions: shares === null ? null : Object.fromEntries(shares),
    gap,
    box: target.box === undefined ? null : boxOf(target.box),
    words: Object.fromEntries(
      attributions.flatMap(({ method, words }) => (words === null || words.length === 0 ? [] : [[method, [...words]]])),
    ),
    files: targets[i]?.panels.map(({ name }) => `${prefix}-${name}.png`) ?? [],
  }));
}

const boxOf = ({ x, y, width, height }: { x: number; y: number; width: number; height: number }) => ({
  x,
  y,
  width,
  height,
});

function modelFacts({ config }: LoadedModel, params: number): ExplanationReport["model"] {
  const { model, input, labels } = config;
  const heads = HEADS.filter((head) => (head === "depth" ? labels.depth.kind !== "none" : labels[head].length > 0));
  const classes = heads.flatMap((head) => (head === "depth" ? [] : [[head, labels[head]] as const]));
  return {
    name: model.name,
    preset: model.preset,
    params,
    modalities: input.modalities.filter((name) => factsOf(model.name)?.modalities.includes(name) ?? true),
    size: [...input.size],
    heads,
    classes: Object.fromEntries(classes),
  };
}

async function releaseFacts({ manifest }: LoadedModel, dir: string): Promise<ExplanationReport["release"]> {
  if (manifest === null) return null;
  const bytes = await folderOnDisk(resolve(dir)).read(MANIFEST_PATH);
  return {
    name: manifest.name,
    version: manifest.version,
    round: manifest.round,
    paramsHash: manifest.paramsHash,
    manifestHash: sha256Of(new NodeCrypto(), bytes as Uint8Array),
    signedBy: manifest.signedBy,
    counts: { survivors: manifest.counts.survivors, examples: manifest.counts.examples },
    metrics: manifest.metrics,
    evaluation: manifest.evaluation,
  };
}
