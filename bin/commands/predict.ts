/** `allulook predict`: what a release sees in one picture, as files and as pictures. */
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import sharp from "sharp";
import { decodeDepth, resizeNearest, toDepthMap } from "../../client/data/depth.ts";
import { decodePicture } from "../../client/data/picture.ts";
import { loadRelease } from "../../client/model-cache/load-model-folder.ts";
import { openRelease, personalWords } from "../../client/model-cache/open-release.ts";
import { predict, type Prediction } from "../../models/allulook4/predict.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import type { DepthMap, Sample } from "../../models/preprocess/sample.ts";
import { confidenceOf } from "../../models/explain/confidence.ts";
import { type ExplainedSample, explainSample } from "../../models/explain/explain.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { reportedExplanations } from "../../simulations/explanations.ts";
import { confidencePanels, explanationPanels } from "../../simulations/report/explanation-panels.ts";
import { viridis } from "../../simulations/report/colours.ts";
import { picturePanels } from "../../simulations/report/pictures.ts";
import { paint, photoRaster, pngOf } from "../../simulations/report/raster.ts";
import { number } from "../numbers.ts";
import { note, printResult } from "../output.ts";

interface PredictOptions {
  readonly model: string;
  readonly image: string;
  readonly depth?: string;
  readonly depthUnit: number;
  readonly text?: string;
  readonly minScore: number;
  readonly explanations: boolean;
  readonly out: string;
  readonly personal?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("predict")
    .description("boxes, class map, depth and scene of one picture")
    .requiredOption("--model <dir>", "release folder with a model/")
    .requiredOption("--image <file>", "RGB or gray picture")
    .option("--depth <file>", "16-bit PNG depth map of the same view; 0 is no reading")
    .option(
      "--depth-unit <metres>",
      "metres per unit of the depth map, where the model's depth is metric",
      number,
      0.001,
    )
    .option("--text <caption>", "what is known about the picture")
    .option("--personal <file>", "a site's personal params, where the federation has some")
    .option("--min-score <x>", "boxes with a lower score are left out", number, 0.3)
    .option("--no-explanations", "leave out what the answers rest on, which takes the most time")
    .requiredOption("--out <dir>", "folder for prediction.json and the pictures")
    .option("--json", "prediction.json on stdout")
    .addHelpText(
      "after",
      "\nExample: allulook predict --model run/releases/5 --image room.png --text 'a ward' --out seen",
    )
    .action(predictCommand);
}

async function predictCommand(options: PredictOptions): Promise<void> {
  const loaded = await loadRelease(resolve(options.model), options.personal);
  const { config } = loaded;
  const words = personalWords(loaded);
  if (words !== null) note(words);
  const { width, height, rgb } = await decodePicture(await open(options.image), options.image);
  const sample: Sample = {
    id: basename(options.image),
    site: null,
    width,
    height,
    rgb,
    depth:
      options.depth === undefined
        ? null
        : await depthOf(options.depth, options.depthUnit, width, height, config.labels),
    captions: options.text === undefined ? null : [options.text],
    boxes: null,
    segmentation: null,
    scene: null,
  };
  await loadEngine();
  const built = await openRelease(loaded);
  const all = predict(built, config, sample);
  const prediction: Prediction = {
    ...all,
    detections: all.detections?.filter(({ score }) => score >= options.minScore) ?? null,
  };
  const withoutDepth = sample.depth === null ? prediction : predict(built, config, sample, { depth: true });
  const explained = options.explanations ? explainSample(built, config, sample, prediction) : null;
  const confidence =
    explained === null
      ? null
      : confidenceOf(built, config, explained, sample, Rng.of(loaded.seed, "predict", sample.id));
  built.dispose();

  const out = resolve(options.out);
  const files = await writeMaps(out, prediction);
  const { panels } = await picturePanels({ sample, labels: config.labels, prediction, withoutDepth });
  for (const { name, png } of panels) {
    await writeFileDurably(join(out, `${name}.png`), png);
    files.push(`${name}.png`);
  }
  files.push(...(await writeHeatmaps(out, sample, prediction)));
  const targets = explained === null ? [] : await explanationPanels(sample, explained);
  const overlays = confidence === null ? [] : await confidencePanels(sample, confidence, { ...prediction, heat: null });
  for (const { name, png } of [overlays, ...targets.map(({ panels }) => panels)].flat()) {
    await writeFileDurably(join(out, `why-${name}.png`), png);
    files.push(`why-${name}.png`);
  }
  const explanations = explained === null ? null : reportedExplanations(explained, targets, "why");
  const summary = { ...describe(prediction, config.labels, files), explanations };
  await writeFileDurably(join(out, "prediction.json"), `${JSON.stringify(summary, null, 2)}\n`);
  const boxes = summary.detections?.map(
    ({ class: name, score, x, y, width: w, height: h }) =>
      `  ${name} ${score.toFixed(2)}  at ${x.toFixed(0)},${y.toFixed(0)} size ${w.toFixed(0)}x${h.toFixed(0)}`,
  );
  const scene =
    summary.scene === null ? [] : [`scene: ${summary.scene[0]?.class} (${summary.scene[0]?.probability.toFixed(2)})`];
  const found = boxes === undefined ? [] : boxes.length === 0 ? ["no object above the score"] : ["objects:", ...boxes];
  const why = explained === null ? [] : whyLines(explained);
  printResult(options.json, summary, [...scene, ...found, ...why, `files: ${out}`].join("\n"));
}

/** What each modality contributes to every answer, and what this model cannot be asked. */
function whyLines({ explanations, unavailable }: ExplainedSample): string[] {
  const lines = explanations.flatMap(({ target, score, absentScore, shares }) => {
    if (shares === null || absentScore === null) return [];
    const parts = [...shares].map(([name, value]) => `${name} ${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(3)}`);
    return [`  ${target.head} ${target.label}: ${absentScore.toFixed(3)} -> ${score.toFixed(3)}: ${parts.join(", ")}`];
  });
  return [
    ...(lines.length === 0 ? [] : ["what each input contributes, from nothing known to this sample:", ...lines]),
    ...unavailable.map(({ code, message }) => `no explanation: ${code}: ${message}`),
  ];
}

async function open(path: string): Promise<Buffer> {
  return readFile(path).catch((error: unknown) => {
    throw new CodedError("DATA_MISSING_FILE", `cannot read ${path}`, { file: path }, { cause: error });
  });
}

async function depthOf(path: string, unit: number, width: number, height: number, labels: Labels): Promise<DepthMap> {
  const raw = resizeNearest(await decodeDepth(await open(path), path), width, height);
  const scale = labels.depth.kind === "metric" ? unit : 1;
  return toDepthMap(raw, [0], { usable: true, scale, reciprocal: false });
}

/** The maps in full: class indices as an 8-bit PNG, depth as little-endian float32 rows. */
async function writeMaps(out: string, { width, height, classMap, depth }: Prediction): Promise<string[]> {
  const files: string[] = [];
  const save = async (name: string, bytes: Uint8Array) => {
    await writeFileDurably(join(out, name), bytes);
    files.push(name);
  };
  if (classMap !== null) {
    await save(
      "classes.png",
      await sharp(classMap, { raw: { width, height, channels: 1 } })
        .toColourspace("b-w")
        .png()
        .toBuffer(),
    );
  }
  if (depth !== null) await save("depth.f32", new Uint8Array(depth.buffer, depth.byteOffset, depth.byteLength));
  return files;
}

/** Where objects are centred and how sure the classes are, painted over the picture. */
async function writeHeatmaps(out: string, sample: Sample, { heat, confidence }: Prediction): Promise<string[]> {
  const photo = await photoRaster(sample.width, sample.height, sample.rgb);
  const files: string[] = [];
  for (const [name, map] of [
    ["heatmap-objects", heat],
    ["heatmap-confidence", confidence],
  ] as const) {
    if (map === null || map === undefined) continue;
    const raster = paint(sample, photo, 0.6, (index) => viridis(map[index] ?? 0));
    await writeFileDurably(join(out, `${name}.png`), await pngOf(raster));
    files.push(`${name}.png`);
  }
  return files;
}

interface Summary {
  readonly width: number;
  readonly height: number;
  readonly scene: readonly { readonly class: string; readonly probability: number }[] | null;
  readonly detections:
    | readonly { class: string; score: number; x: number; y: number; width: number; height: number }[]
    | null;
  /** Share of the picture that each class covers. */
  readonly segmentation: Readonly<Record<string, number>> | null;
  readonly depth: { readonly kind: string; readonly min: number; readonly max: number } | null;
  readonly files: readonly string[];
}

function describe(prediction: Prediction, labels: Labels, files: readonly string[]): Summary {
  const { width, height, detections, classMap, depth, scene } = prediction;
  const shares = labels.segmentation.map((name, index): [string, number] => [
    name,
    classMap === null ? 0 : classMap.reduce((sum, value) => sum + (value === index ? 1 : 0), 0) / classMap.length,
  ]);
  return {
    width,
    height,
    scene:
      scene === null
        ? null
        : labels.scene
            .map((name, index) => ({ class: name, probability: scene[index] ?? 0 }))
            .toSorted((a, b) => b.probability - a.probability),
    detections:
      detections?.map(({ classIndex, ...box }) => ({ class: labels.detection[classIndex] ?? "", ...box })) ?? null,
    segmentation: classMap === null ? null : Object.fromEntries(shares),
    depth:
      depth === null
        ? null
        : {
            kind: labels.depth.kind,
            min: depth.reduce((a, b) => Math.min(a, b)),
            max: depth.reduce((a, b) => Math.max(a, b)),
          },
    files,
  };
}
