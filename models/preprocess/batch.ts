/**
 * Renders views of prepared samples into the typed arrays of one batch: model inputs and targets. Pure; the tensors
 * are made by whoever runs the model.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Head } from "../../shared/release/scores.ts";
import type { DepthGuide } from "../losses/depth.ts";
import { holePixels, type Rectangle, type View } from "./augment.ts";
import { depthScale, normalisedDepth, type DepthScale } from "./depth.ts";
import { drawBoxes, type BoxCells } from "./box-targets.ts";
import type { Geometry, PreparedSample } from "./prepare.ts";
import { IGNORE_CLASS } from "./sample.ts";
import { TEXT_FEATURES, TEXT_WORDS } from "./text.ts";

/** Pixels per side of one cell of each head's map. */
export interface Strides {
  readonly segmentation: number;
  readonly depth: number;
}

/** Those of Allulook4. */
export const ALLULOOK4_STRIDES: Strides = { segmentation: 2, depth: 4 };
/** The same for every model: the boxes' encoding is written in it. */
const DETECTION_STRIDE = 4;

/** Frozen constants of the picture normalisation: close to the mean and deviation of natural pictures. */
export const PIXEL_MEAN = 0.45;
export const PIXEL_DEVIATION = 0.225;

export interface Batch {
  readonly size: number;
  readonly geometry: Geometry;
  /** [B, H, W, 3] */
  readonly rgb: Float32Array;
  /** [B, H, W, 2]: normalised value and validity. */
  readonly depth: Float32Array;
  /** [B, TEXT_WORDS, TEXT_FEATURES] */
  readonly text: Int32Array;
  /** [B, 3] */
  readonly presence: Float32Array;
  /** How each sample's depth was normalised; null without depth. */
  readonly depthScales: readonly (DepthScale | null)[];
  readonly targets: Targets;
}

export interface Targets {
  /** [B, H/s, W/s, K] for the head's stride s: share of each class in the cell; all zero where nothing is labelled. */
  readonly segmentation: Float32Array;
  /** [B, H/4, W/4, K]: Gaussian heat around each object's centre. */
  readonly heat: Float32Array;
  /** [B]: 1 where boxes are labelled. */
  readonly boxesKnown: Float32Array;
  /** Cells whose box is regressed. */
  readonly cells: BoxCells;
  /** [B, H/s, W/s] for the head's stride s: normalised depth; weight 0 where unknown or given as input. */
  readonly depth: Float32Array;
  readonly depthWeight: Float32Array;
  /** For depth losses that look at the picture, too. */
  readonly depthGuide?: DepthGuide;
  /** [B, S]: one-hot; all zero where unlabelled. */
  readonly scene: Float32Array;
  /** What heads' losses are multiplied by; 1 where none is given. */
  readonly factors?: Readonly<Partial<Record<Head, number>>>;
}

type Config = Pick<FederationConfig, "model" | "input" | "labels">;

/** Renders `samples[i]` through `views[i]`, with targets for maps of these strides. All samples share one geometry. */
export function renderBatch(
  samples: readonly PreparedSample[],
  views: readonly View[],
  config: Config,
  strides: Strides = ALLULOOK4_STRIDES,
): Batch {
  const geometry = (samples[0] as PreparedSample).geometry;
  const { height, width } = geometry;
  const size = samples.length;
  const { labels } = config;
  const cells = (stride: number) => Math.floor(height / stride) * Math.floor(width / stride);
  const boxCells = labels.detection.length > 0 ? cells(DETECTION_STRIDE) : 0;
  const hasDepthHead = labels.depth.kind !== "none";
  const rgb = new Float32Array(size * height * width * 3);
  const batch: Batch = {
    size,
    geometry,
    rgb,
    depth: new Float32Array(size * height * width * 2),
    text: new Int32Array(size * TEXT_WORDS * TEXT_FEATURES),
    presence: new Float32Array(size * 3),
    depthScales: samples.map((sample, i) => scaleOf(sample, views[i] as View, config)),
    targets: {
      segmentation: new Float32Array(size * cells(strides.segmentation) * labels.segmentation.length),
      heat: new Float32Array(size * boxCells * labels.detection.length),
      boxesKnown: new Float32Array(size),
      cells: { sample: [], cell: [], left: [], top: [], right: [], bottom: [], weight: [] },
      depth: new Float32Array(hasDepthHead ? size * cells(strides.depth) : 0),
      depthWeight: new Float32Array(hasDepthHead ? size * cells(strides.depth) : 0),
      depthGuide: {
        rgb,
        height,
        width,
        mean: PIXEL_MEAN,
        deviation: PIXEL_DEVIATION,
        seen: views.map((view) => view.present.rgb),
        metric: labels.depth.kind === "metric",
      },
      scene: new Float32Array(size * labels.scene.length),
    },
  };
  for (const [i, sample] of samples.entries()) {
    const view = views[i] as View;
    batch.presence.set([view.present.rgb ? 1 : 0, view.present.depth ? 1 : 0, view.present.text ? 1 : 0], i * 3);
    if (view.present.rgb)
      drawRgb(sample, view, batch.rgb.subarray(i * height * width * 3, (i + 1) * height * width * 3));
    if (view.present.text) {
      const text = view.x.scale < 0 ? sample.mirroredText : sample.text;
      batch.text.set(text as Int32Array, i * TEXT_WORDS * TEXT_FEATURES);
    }
    drawDepth(sample, view, batch, i, strides.depth);
    if (sample.segmentation !== null) {
      drawSegmentation(sample, view, batch, i, labels.segmentation.length, strides.segmentation);
    }
    if (sample.boxes !== null && labels.detection.length > 0) {
      batch.targets.boxesKnown[i] = 1;
      drawBoxes(sample.boxes, view, geometry, i, batch.targets.heat, labels.detection.length, batch.targets.cells);
    }
    if (sample.scene !== null) batch.targets.scene[i * labels.scene.length + sample.scene] = 1;
  }
  return batch;
}

function drawRgb(sample: PreparedSample, view: View, out: Float32Array): void {
  const source = sample.rgb as Uint8Array;
  const { width } = sample.geometry;
  const normalised = Float32Array.from(
    { length: 256 },
    (_, byte) => ((byte / 255 - PIXEL_MEAN) / PIXEL_DEVIATION) * view.contrast + view.brightness,
  );
  const coloured = view.saturation !== 1 || view.tint.some((shift) => shift !== 0);
  let at = 0;
  for (const row of view.rows) {
    if (row < 0) {
      at += width * 3;
      continue;
    }
    for (let x = 0; x < width; x++, at += 3) {
      const column = view.columns[x] as number;
      if (column < 0) continue;
      const from = (row * width + column) * 3;
      out[at] = normalised[source[from] as number] as number;
      out[at + 1] = normalised[source[from + 1] as number] as number;
      out[at + 2] = normalised[source[from + 2] as number] as number;
      if (coloured) recolour(out, at, view);
    }
  }
  for (const cut of view.cuts) {
    const { top, bottom, left, right } = holePixels(cut, sample.geometry);
    for (let y = top; y < bottom; y++) out.fill(0, (y * width + left) * 3, (y * width + right) * 3);
  }
}

function recolour(out: Float32Array, at: number, { saturation, tint }: View): void {
  const grey = ((out[at] as number) + (out[at + 1] as number) + (out[at + 2] as number)) / 3;
  for (let c = 0; c < 3; c++) {
    out[at + c] = grey + saturation * ((out[at + c] as number) - grey) + (tint[c] as number);
  }
}

/** 1 where one of the rectangles is. */
function maskOf(rectangles: readonly Rectangle[], geometry: Geometry): Uint8Array {
  const mask = new Uint8Array(geometry.height * geometry.width);
  for (const hole of rectangles) {
    const { top, bottom, left, right } = holePixels(hole, geometry);
    for (let y = top; y < bottom; y++) mask.fill(1, y * geometry.width + left, y * geometry.width + right);
  }
  return mask;
}

/** Normalisation of relative depth uses only the readings that the model is given, or all when it is given none. */
function scaleOf(sample: PreparedSample, view: View, config: Config): DepthScale | null {
  if (sample.depth === null) return null;
  if (config.labels.depth.kind === "metric" || config.labels.depth.kind === "none") {
    return depthScale(sample.depth, config.labels.depth.kind, null);
  }
  // Holes lie in the view; through its index tables they are found in the sample.
  if (!view.present.depth || view.holes.length === 0) return depthScale(sample.depth, config.labels.depth.kind, null);
  const { width } = sample.geometry;
  const hidden = new Uint8Array(sample.depth.length);
  const mask = maskOf(view.holes, sample.geometry);
  for (const [y, row] of view.rows.entries()) {
    if (row < 0) continue;
    for (const [x, column] of view.columns.entries()) {
      if (column >= 0 && mask[y * width + x] === 1) hidden[row * width + column] = 1;
    }
  }
  return depthScale(sample.depth, config.labels.depth.kind, hidden);
}

function drawDepth(sample: PreparedSample, view: View, batch: Batch, index: number, stride: number): void {
  const scale = batch.depthScales[index] ?? null;
  if (sample.depth === null || scale === null) return;
  const { height, width } = batch.geometry;
  const mask = maskOf(view.holes, batch.geometry);
  const input = batch.depth.subarray(index * height * width * 2, (index + 1) * height * width * 2);
  const targets = batch.targets.depth.length > 0;
  const cells = width / stride;
  const start = index * (height / stride) * cells;
  const { depth, depthWeight } = batch.targets;
  for (let y = 0; y < height; y++) {
    const row = view.rows[y] as number;
    if (row < 0) continue;
    for (let x = 0; x < width; x++) {
      const column = view.columns[x] as number;
      if (column < 0) continue;
      const raw = sample.depth[row * width + column] as number;
      if (Number.isNaN(raw)) continue;
      const value = normalisedDepth(raw, scale);
      const at = y * width + x;
      if (view.present.depth && mask[at] === 0) {
        input[at * 2] = value;
        input[at * 2 + 1] = 1;
      } else if (targets) {
        const cell = start + Math.floor(y / stride) * cells + Math.floor(x / stride);
        depth[cell] = (depth[cell] as number) + value;
        depthWeight[cell] = (depthWeight[cell] as number) + 1;
      }
    }
  }
  if (!targets) return;
  for (let cell = start; cell < start + (height / stride) * cells; cell++) {
    const count = depthWeight[cell] as number;
    if (count === 0) continue;
    depth[cell] = (depth[cell] as number) / count;
    depthWeight[cell] = count / stride ** 2;
  }
}

function drawSegmentation(
  sample: PreparedSample,
  view: View,
  batch: Batch,
  index: number,
  classes: number,
  stride: number,
): void {
  const source = sample.segmentation as Uint8Array;
  const { height, width } = batch.geometry;
  const cells = width / stride;
  const start = index * (height / stride) * cells;
  const share = 1 / stride ** 2;
  const out = batch.targets.segmentation;
  for (let y = 0; y < height; y++) {
    const row = view.rows[y] as number;
    if (row < 0) continue;
    const line = start + Math.floor(y / stride) * cells;
    for (let x = 0; x < width; x++) {
      const column = view.columns[x] as number;
      if (column < 0) continue;
      const label = source[row * width + column] as number;
      if (label === IGNORE_CLASS) continue;
      const at = (line + Math.floor(x / stride)) * classes + label;
      out[at] = (out[at] as number) + share;
    }
  }
}
