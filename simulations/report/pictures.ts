/** One sample as the report shows it: what the model was given, what is true, what it predicts, each as a PNG. */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Prediction } from "../../models/allulook4/predict.ts";
import { alignment, depthErrors } from "../../models/metrics/depth.ts";
import { IGNORE_CLASS, type DepthMap, type Sample } from "../../models/preprocess/sample.ts";
import { classColour, cssColour, viridis, type Colour } from "./colours.ts";
import { drawFrame, drawTag, paint, photoRaster, pngOf, type Raster, type Rectangle } from "./raster.ts";

type Labels = FederationConfig["labels"];

export interface LegendEntry {
  readonly colour: string;
  readonly text: string;
}

export interface Panel {
  /** Part of a file name. */
  readonly name: string;
  readonly title: string;
  /** In words, for those who cannot see it. */
  readonly alt: string;
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly legend: readonly LegendEntry[];
  readonly note: string | null;
}

export interface PicturePanels {
  readonly id: string;
  readonly site: string | null;
  readonly captions: readonly string[];
  readonly scene: { readonly predicted: string; readonly probability: number; readonly truth: string | null } | null;
  readonly panels: readonly Panel[];
}

export interface PictureInput {
  readonly sample: Sample;
  readonly labels: Labels;
  /** With every input the sample has. */
  readonly prediction: Prediction;
  /** With the depth input withheld: its depth is depth from RGB. Null where the model has no depth head. */
  readonly withoutDepth: Prediction | null;
}

/** Boxes below this score are not drawn, nor more than so many. */
const SHOWN_SCORE = 0.3;
const SHOWN_BOXES = 20;
/** Ends of the colour scale, as quantiles of the true depth. */
const RANGE = [0.02, 0.98] as const;
const TRUTH_COLOUR: Colour = [255, 255, 255];

/** Everything known and predicted about one sample, as PNG pictures with captions. */
export async function picturePanels(input: PictureInput): Promise<PicturePanels> {
  const { sample, labels, prediction, withoutDepth } = input;
  const photo = await photoRaster(sample.width, sample.height, sample.rgb);
  const panels: Panel[] = [];
  if (sample.rgb !== null) {
    panels.push(await panel("rgb", "RGB input", `photograph ${sample.id}`, photo));
  }
  if (sample.segmentation !== null) {
    panels.push(
      await classPanel("segmentation-truth", "Segmentation, labelled", sample, sample.segmentation, labels, photo),
    );
  }
  if (prediction.classMap !== null) {
    panels.push(
      await classPanel("segmentation", "Segmentation, predicted", sample, prediction.classMap, labels, photo),
    );
  }
  if (prediction.detections !== null) panels.push(await boxPanel(sample, prediction.detections, labels, photo));
  if (sample.depth !== null) panels.push(await trueDepth(sample, sample.depth, labels));
  const depth = withoutDepth?.depth ?? null;
  if (depth !== null) panels.push(await predictedDepth(sample, depth, labels));
  return {
    id: sample.id,
    site: sample.site,
    captions: sample.captions ?? [],
    scene: sceneOf(sample, prediction.scene, labels),
    panels,
  };
}

async function panel(
  name: string,
  title: string,
  alt: string,
  raster: Raster,
  legend: readonly LegendEntry[] = [],
  note: string | null = null,
): Promise<Panel> {
  return { name, title, alt, png: await pngOf(raster), width: raster.width, height: raster.height, legend, note };
}

/** A class named background is left as the photograph is. */
function isDrawn(labels: Labels, classIndex: number): boolean {
  return classIndex !== IGNORE_CLASS && labels.segmentation[classIndex] !== "background";
}

async function classPanel(
  name: string,
  title: string,
  sample: Sample,
  classMap: Uint8Array,
  labels: Labels,
  photo: Raster,
): Promise<Panel> {
  const shares = new Map<number, number>();
  for (const value of classMap) shares.set(value, (shares.get(value) ?? 0) + 1 / classMap.length);
  const raster = paint(sample, photo, 0.6, (i) => {
    const value = classMap[i] as number;
    return isDrawn(labels, value) ? classColour(value) : null;
  });
  const found = [...shares].filter(([value]) => isDrawn(labels, value)).toSorted(([, a], [, b]) => b - a);
  const legend = found.map(([value, share]) => ({
    colour: cssColour(classColour(value)),
    text: `${labels.segmentation[value] ?? value} ${percent(share)}`,
  }));
  const words = legend.length === 0 ? "nothing but background" : legend.map(({ text }) => text).join(", ");
  return panel(name, title, `${title}: ${words}`, raster, legend, legend.length === 0 ? words : null);
}

async function boxPanel(
  sample: Sample,
  detections: NonNullable<Prediction["detections"]>,
  labels: Labels,
  photo: Raster,
): Promise<Panel> {
  const raster: Raster = { ...photo, rgb: photo.rgb.slice() };
  const scale = photo.width / sample.width;
  const onPanel = ({ x, y, width, height }: Rectangle): Rectangle => ({
    x: x * scale,
    y: y * scale,
    width: width * scale,
    height: height * scale,
  });
  for (const box of sample.boxes ?? []) {
    drawFrame(raster, onPanel(box), [0, 0, 0], 3);
    drawFrame(raster, onPanel(box), TRUTH_COLOUR, 2, 6);
  }
  const shown = detections.filter(({ score }) => score >= SHOWN_SCORE).slice(0, SHOWN_BOXES);
  for (const [i, detection] of shown.entries()) {
    const colour = classColour(detection.classIndex);
    const box = onPanel(detection);
    drawFrame(raster, box, colour, 2);
    drawTag(raster, box.x, box.y, i + 1, colour);
  }
  const nameOf = (index: number) => labels.detection[index] ?? String(index);
  const legend = shown.map(({ classIndex, score }, i) => ({
    colour: cssColour(classColour(classIndex)),
    text: `${i + 1} ${nameOf(classIndex)} ${percent(score)}`,
  }));
  const truth = sample.boxes === null ? "" : `; ${sample.boxes.length} labelled, dashed white`;
  const note = `${shown.length} of score ${percent(SHOWN_SCORE)} or more${truth}`;
  const alt = `Boxes: ${legend.map(({ text }) => text).join(", ")} (${note})`;
  return panel("boxes", "Boxes, predicted", alt, raster, legend, note);
}

interface Range {
  readonly near: number;
  readonly far: number;
}

function rangeOf(values: Float32Array, valid: Uint8Array | null): Range {
  const sorted = values.filter((_, i) => valid === null || valid[i] === 1).toSorted();
  if (sorted.length === 0) return { near: 0, far: 1 };
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number;
  return { near: at(RANGE[0]), far: at(RANGE[1]) };
}

/** Near is bright: inverse depth is near where it is large. */
function depthRaster(
  sample: Sample,
  valueAt: (pixel: number) => number | null,
  { near, far }: Range,
  kind: Labels["depth"]["kind"],
): Raster {
  return paint(sample, null, 1, (i) => {
    const value = valueAt(i);
    if (value === null) return null;
    const share = far > near ? (value - near) / (far - near) : 0.5;
    return viridis(kind === "inverse" ? share : 1 - share);
  });
}

function depthNote({ near, far }: Range, kind: Labels["depth"]["kind"]): string {
  const digits = Math.abs(far) < 100 ? 2 : 0;
  const ends = `${near.toFixed(digits)} to ${far.toFixed(digits)}${kind === "metric" ? " m" : ""}`;
  return `bright is near; ${kind === "metric" ? ends : `${ends} (${kind}, no unit)`}`;
}

async function trueDepth(sample: Sample, depth: DepthMap, labels: Labels): Promise<Panel> {
  const { kind } = labels.depth;
  const range = rangeOf(depth.values, depth.valid);
  const raster = depthRaster(sample, (i) => (depth.valid[i] === 1 ? (depth.values[i] as number) : null), range, kind);
  const holes = depth.valid.reduce((sum, value) => sum + (1 - value), 0) / depth.valid.length;
  const note = `${depthNote(range, kind)}; no reading (grey): ${percent(holes)}`;
  return panel("depth-input", "Depth input", `Depth map as measured: ${note}`, raster, [], note);
}

async function predictedDepth(sample: Sample, depth: Float32Array, labels: Labels): Promise<Panel> {
  const { kind } = labels.depth;
  const truth = sample.depth;
  const counts = (i: number) => truth?.valid[i] === 1;
  const aligned = truth !== null && kind !== "metric";
  const fit = aligned ? alignment(depth, truth.values, counts) : { scale: 1, shift: 0 };
  const range = truth === null ? rangeOf(depth, null) : rangeOf(truth.values, truth.valid);
  const raster = depthRaster(sample, (i) => fit.scale * (depth[i] as number) + fit.shift, range, kind);
  const errors = truth === null ? null : depthErrors(depth, truth, kind);
  const note = [
    errors === null
      ? "no truth to compare with"
      : `absRel ${errors.relative.toFixed(3)}, ${percent(errors.delta1)} within 1.25 of the truth`,
    ...(aligned ? ["aligned with positive scale and shift"] : []),
  ].join("; ");
  const title = "Depth from RGB, predicted";
  return panel("depth", title, `Depth predicted without the depth input: ${note}`, raster, [], note);
}

function sceneOf(sample: Sample, probabilities: Float32Array | null, labels: Labels): PicturePanels["scene"] {
  if (probabilities === null || probabilities.length === 0) return null;
  const best = probabilities.indexOf(Math.max(...probabilities));
  const nameOf = (index: number) => labels.scene[index] ?? String(index);
  return {
    predicted: nameOf(best),
    probability: probabilities[best] as number,
    truth: sample.scene === null ? null : nameOf(sample.scene),
  };
}

function percent(share: number): string {
  const value = share * 100;
  return `${value > 0 && value < 1 ? value.toFixed(1) : Math.round(value)} %`;
}
