/** `allulook evaluate --robustness`: a release under everything that the robustness suite does to pictures. */
import { basename, join, resolve } from "node:path";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { modelTitle } from "../../shared/config/models.ts";
import { CORRUPTIONS, type CorruptionName } from "../../shared/config/robustness.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { HEAD_SCORE, type Head, scoreOf } from "../../shared/release/scores.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { PredictConfig } from "../../models/allulook4/predict.ts";
import type { SiteSamples } from "../../models/metrics/evaluate.ts";
import { evaluateRobustness } from "../../models/metrics/robustness.ts";
import { pictureOf } from "../../models/preprocess/corruption/picture.ts";
import { corrupted, corruptedModality, SEVERITIES } from "../../models/preprocess/corruption/suite.ts";
import { type PreparedSample, prepareSample } from "../../models/preprocess/prepare.ts";
import { HEAD_NAMES } from "../../simulations/report/format.ts";
import { depthColours, pngOf } from "../../simulations/report/raster.ts";
import {
  type CorruptedStrip,
  dropPoints,
  robustnessPage,
  type RobustnessReport,
  scoredHeads,
} from "../../simulations/report/robustness.ts";
import { BATCH, type EvaluationInput, withModel } from "./release.ts";
import { table } from "./tables.ts";

export interface RobustnessInput extends EvaluationInput {
  /** Where robustness.json and robustness.html go. */
  readonly out: string;
  readonly seed: number;
  /** Comma-separated; all unless given. */
  readonly corruptions?: string | undefined;
  /** Comma-separated, rising; 1 to 5 unless given. */
  readonly severities?: string | undefined;
}

export interface WrittenRobustness {
  readonly report: RobustnessReport;
  readonly json: string;
  readonly html: string;
}

/** @throws CodedError USAGE, RELEASE_*, DATA_* */
export async function reportRobustness(input: RobustnessInput): Promise<WrittenRobustness> {
  const corruptions = chosenCorruptions(input.corruptions);
  const severities = chosenSeverities(input.severities);
  const { seed } = input;
  return withModel(
    await loadRelease(resolve(input.model)),
    input,
    async ({ built, config, withheld, sites, pictures }) => {
      const scores = await evaluateRobustness(
        built,
        config,
        sites,
        { batchSize: BATCH, seed, corruptions, severities, withheld },
        (done) => input.onSample?.(done, pictures),
      );
      const report: RobustnessReport = {
        schema: 1,
        model: modelTitle(config.model),
        release: input.model,
        data: input.data.map((dir) => basename(resolve(dir))),
        seed,
        modalities: config.input.modalities,
        severities,
        ...scores,
      };
      const strips = await exampleStrips(sites, config, report);
      const out = resolve(input.out);
      const [json, html] = [join(out, "robustness.json"), join(out, "robustness.html")];
      await writeFileDurably(json, `${JSON.stringify(report, null, 2)}\n`);
      await writeFileDurably(html, await robustnessPage(report, strips));
      return { report, json, html };
    },
  );
}

/** A table of drops per head. */
export function robustnessText({ report, json, html }: WrittenRobustness): string {
  const heads = scoredHeads(report);
  if (heads.length === 0) return "the data has no labels to score against";
  return [...heads.map((head) => headText(report, head)), `report: ${html}\n        ${json}`].join("\n\n");
}

function headText(report: RobustnessReport, head: Head): string {
  const clean = 100 * (scoreOf(report.clean, head) as number);
  const rows = report.corruptions.map(({ corruption, pictures, scores, meanDrops }) => [
    corruption,
    String(pictures),
    ...scores.map(({ drops }) => dropPoints(drops[head])),
    dropPoints(meanDrops[head]),
  ]);
  const empty = report.severities.map(() => "");
  return [
    `${HEAD_NAMES[head].toLowerCase()}: ${HEAD_SCORE[head]} ${clean.toFixed(1)} % as it is; points lost at each severity`,
    table([
      ["corruption", "pictures", ...report.severities.map(String), "mean"],
      ...rows,
      ["all", "", ...empty, dropPoints(report.meanDrops[head])],
    ]),
  ].join("\n");
}

/** The first picture that has all that can be corrupted, or else the first. */
async function exampleStrips(
  sites: readonly SiteSamples[],
  config: PredictConfig,
  { corruptions, severities, seed }: RobustnessReport,
): Promise<CorruptedStrip[]> {
  const prepared: PreparedSample[] = [];
  for (const { count, load } of sites) {
    for (let i = 0; i < Math.min(count, BATCH); i++) prepared.push(prepareSample(await load(i), config));
  }
  const example = prepared.find(({ rgb, depth }) => rgb !== null && depth !== null) ?? prepared[0];
  if (example === undefined) return [];
  const drawn = corruptions.filter(({ corruption }) => {
    const modality = corruptedModality(corruption);
    return modality !== "text" && example[modality] !== null;
  });
  return Promise.all(
    drawn.map(async ({ corruption }) => ({
      name: corruption,
      cells: await Promise.all(
        [0, ...severities].map(async (severity) => {
          const rng = Rng.of(seed, "robustness", corruption, example.id);
          const seen = corrupted(example, corruption, severity, rng, config.labels.depth.kind);
          return { severity, png: await drawing(seen, example, corruption) };
        }),
      ),
    })),
  );
}

async function drawing(seen: PreparedSample, clean: PreparedSample, corruption: CorruptionName): Promise<Uint8Array> {
  const { contentWidth: width, contentHeight: height } = clean.geometry;
  if (corruptedModality(corruption) === "rgb") return pngOf({ width, height, rgb: pictureOf(seen, "none").rgb });
  const { width: stride } = clean.geometry;
  const content = (depth: Float32Array | null) =>
    Float32Array.from({ length: width * height }, (_, i) =>
      depth === null ? Number.NaN : (depth[Math.floor(i / width) * stride + (i % width)] as number),
    );
  return pngOf({ width, height, rgb: depthColours(content(seen.depth), content(clean.depth)) });
}

function chosenCorruptions(list: string | undefined): readonly CorruptionName[] {
  if (list === undefined) return CORRUPTIONS;
  return list.split(",").map((name) => {
    const found = CORRUPTIONS.find((corruption) => corruption === name);
    if (found === undefined)
      throw new CodedError("USAGE", `--corruptions: expected some of ${CORRUPTIONS.join(",")}, got "${name}"`);
    return found;
  });
}

function chosenSeverities(list: string | undefined): readonly number[] {
  if (list === undefined) return SEVERITIES;
  const given = list.split(",").map((text) => (text.trim() === "" ? Number.NaN : Number(text)));
  const good = given.every((value, i) => value > (given[i - 1] ?? 0) && value <= 5);
  if (!good) throw new CodedError("USAGE", `--severities: expected rising numbers up to 5, got "${list}"`);
  return given;
}
