/**
 * A decoded sample at the model's size: what training caches. Pictures are resized to `input.size` (averaged when
 * they shrink, bilinear when they grow), labels and depth by the nearest pixel; where a side is not a multiple of the
 * model's stride, the right and bottom are padded and count in no loss.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { factsOf } from "../../shared/config/models.ts";
import { IGNORE_CLASS, type Sample } from "./sample.ts";
import { tokenise } from "./text.ts";

export interface Geometry {
  /** Size of the model's maps: multiples of the model's stride. */
  readonly height: number;
  readonly width: number;
  /** The part that holds the picture, from the top left corner. */
  readonly contentHeight: number;
  readonly contentWidth: number;
}

export interface PreparedBox {
  readonly classIndex: number;
  /** Model pixels. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface PreparedSample {
  readonly id: string;
  readonly geometry: Geometry;
  /** height * width * 3 */
  readonly rgb: Uint8Array | null;
  /** height * width; natural logarithm of metres where depth is metric, the dataset's units otherwise; NaN: none. */
  readonly depth: Float32Array | null;
  /** Bucket ids of all captions, one after the other. */
  readonly text: Int32Array | null;
  /** The same for the mirrored picture: "left" is "right". Null where pictures are never mirrored. */
  readonly mirroredText: Int32Array | null;
  /** height * width */
  readonly segmentation: Uint8Array | null;
  readonly boxes: readonly PreparedBox[] | null;
  readonly scene: number | null;
  /** Bytes held. */
  readonly bytes: number;
}

type Config = Pick<FederationConfig, "model" | "input" | "labels">;

/** Nearest metric depth, in metres: keeps the logarithm finite. */
const NEAREST_METERS = 0.01;

/** The maps' size for `input.size`. A model of one's own gets pictures of exactly that size. */
export function geometryOf(config: Pick<FederationConfig, "model" | "input">): Geometry {
  const [contentHeight, contentWidth] = config.input.size;
  const multiple = factsOf(config.model.name)?.multiple ?? 1;
  const padded = (side: number) => Math.ceil(side / multiple) * multiple;
  return { height: padded(contentHeight), width: padded(contentWidth), contentHeight, contentWidth };
}

/**
 * Resizes everything a sample has; a modality that the federation does not use is dropped.
 *
 * @param mirrorWords words that change places in captions of mirrored pictures; null where none is mirrored
 */
export function prepareSample(
  sample: Sample,
  config: Config,
  mirrorWords: readonly (readonly [string, string])[] | null = null,
): PreparedSample {
  const geometry = geometryOf(config);
  const uses = (modality: "rgb" | "depth" | "text") => config.input.modalities.includes(modality);
  const rgb = sample.rgb !== null && uses("rgb") ? resizeRgb(sample.rgb, sample, geometry) : null;
  // Depth is the depth head's target even where it is no input.
  const wantsDepth = uses("depth") || config.labels.depth.kind !== "none";
  const depth = sample.depth !== null && wantsDepth ? resizeDepth(sample, geometry, config) : null;
  const words = uses("text") && (sample.captions?.length ?? 0) > 0 ? (sample.captions ?? []).join(" ") : null;
  const text = words === null ? null : tokenise(words);
  const mirroredText = words === null || mirrorWords === null ? null : tokenise(words, mirrorWords);
  const segmentation = sample.segmentation === null ? null : resizeLabels(sample.segmentation, sample, geometry);
  const boxes = sample.boxes === null ? null : scaleBoxes(sample, geometry);
  const bytes =
    (rgb?.length ?? 0) +
    (segmentation?.length ?? 0) +
    4 * ((depth?.length ?? 0) + (text?.length ?? 0) + (mirroredText?.length ?? 0));
  return { id: sample.id, geometry, rgb, depth, text, mirroredText, segmentation, boxes, scene: sample.scene, bytes };
}

/** For each of `to` pixels the pixel of `from` under its centre. */
function nearestIndices(from: number, to: number): Int32Array {
  return Int32Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(((i + 0.5) * from) / to)));
}

interface Tap {
  readonly index: number;
  readonly weight: number;
}

/** Triangle filter as wide as the larger of both pixel sizes: averages when shrinking, interpolates when growing. */
function filterTaps(from: number, to: number): Tap[][] {
  const ratio = from / to;
  const radius = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * ratio - 0.5;
    const taps: Tap[] = [];
    let sum = 0;
    for (let at = Math.ceil(centre - radius); at <= Math.floor(centre + radius); at++) {
      const weight = 1 - Math.abs(at - centre) / radius;
      if (weight <= 0) continue;
      taps.push({ index: Math.min(from - 1, Math.max(0, at)), weight });
      sum += weight;
    }
    return taps.map(({ index, weight }) => ({ index, weight: weight / sum }));
  });
}

function resizeRgb(rgb: Uint8Array, from: { width: number; height: number }, geometry: Geometry): Uint8Array {
  const columns = filterTaps(from.width, geometry.contentWidth);
  const rows = filterTaps(from.height, geometry.contentHeight);
  const narrow = new Float32Array(from.height * geometry.contentWidth * 3);
  for (let y = 0; y < from.height; y++) {
    for (const [x, taps] of columns.entries()) {
      const out = (y * geometry.contentWidth + x) * 3;
      for (const { index, weight } of taps) {
        const at = (y * from.width + index) * 3;
        for (let c = 0; c < 3; c++) {
          narrow[out + c] = (narrow[out + c] as number) + weight * (rgb[at + c] as number);
        }
      }
    }
  }
  const out = new Uint8Array(geometry.height * geometry.width * 3);
  const line = new Float32Array(geometry.contentWidth * 3);
  for (const [y, taps] of rows.entries()) {
    line.fill(0);
    for (const { index, weight } of taps) {
      const start = index * line.length;
      for (let i = 0; i < line.length; i++) line[i] = (line[i] as number) + weight * (narrow[start + i] as number);
    }
    const start = y * geometry.width * 3;
    for (let i = 0; i < line.length; i++) out[start + i] = Math.round(line[i] as number);
  }
  return out;
}

function resizeDepth(sample: Sample, geometry: Geometry, config: Config): Float32Array {
  const { values, valid } = sample.depth as NonNullable<Sample["depth"]>;
  const logarithmic = config.labels.depth.kind === "metric";
  const columns = nearestIndices(sample.width, geometry.contentWidth);
  const rows = nearestIndices(sample.height, geometry.contentHeight);
  const out = new Float32Array(geometry.height * geometry.width).fill(Number.NaN);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      const at = row * sample.width + column;
      if (valid[at] !== 1) continue;
      const value = values[at] as number;
      out[y * geometry.width + x] = logarithmic ? Math.log(Math.max(value, NEAREST_METERS)) : value;
    }
  }
  return out;
}

function resizeLabels(labels: Uint8Array, from: { width: number; height: number }, geometry: Geometry): Uint8Array {
  const columns = nearestIndices(from.width, geometry.contentWidth);
  const rows = nearestIndices(from.height, geometry.contentHeight);
  const out = new Uint8Array(geometry.height * geometry.width).fill(IGNORE_CLASS);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      out[y * geometry.width + x] = labels[row * from.width + column] as number;
    }
  }
  return out;
}

/** Crowds are no training target. */
function scaleBoxes(sample: Sample, geometry: Geometry): PreparedBox[] {
  const scaleX = geometry.contentWidth / sample.width;
  const scaleY = geometry.contentHeight / sample.height;
  return (sample.boxes ?? [])
    .filter((box) => !box.crowd)
    .map((box) => ({
      classIndex: box.classIndex,
      left: box.x * scaleX,
      top: box.y * scaleY,
      right: (box.x + box.width) * scaleX,
      bottom: (box.y + box.height) * scaleY,
    }));
}
