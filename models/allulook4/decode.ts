/**
 * From output maps to what people want: boxes after non-maximum suppression, a class map, a depth map and scene
 * probabilities, in the size of the original picture. Plain typed arrays, no tensors.
 */
import { boxAt } from "../losses/boxes.ts";
import type { Geometry } from "../preprocess/prepare.ts";

export interface Detection {
  readonly classIndex: number;
  /** In [0, 1]. */
  readonly score: number;
  /** Pixels of the original picture. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

export interface DetectionOptions {
  readonly minScore: number;
  /** A box that overlaps a better one of its class by more is dropped. */
  readonly maxOverlap: number;
  readonly maxDetections: number;
}

export const DETECTION_DEFAULTS: DetectionOptions = { minScore: 0.01, maxOverlap: 0.5, maxDetections: 100 };

const DETECTION_STRIDE = 4;

/** @param map [h, w, classes + 4]: heat logits and side logarithms of one picture */
export function decodeDetections(
  map: Float32Array,
  classes: number,
  geometry: Geometry,
  size: PictureSize,
  options: DetectionOptions = DETECTION_DEFAULTS,
): Detection[] {
  const columns = geometry.width / DETECTION_STRIDE;
  const rows = geometry.height / DETECTION_STRIDE;
  const channels = classes + 4;
  const minLogit = Math.log(options.minScore / (1 - options.minScore));
  const found: Detection[] = [];
  const scaleX = size.width / geometry.contentWidth;
  const scaleY = size.height / geometry.contentHeight;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = (y * columns + x) * channels;
      for (let c = 0; c < classes; c++) {
        const logit = map[at + c] as number;
        if (logit < minLogit || !isPeak(map, x, y, columns, rows, channels, c)) continue;
        const box = boxAt(map, at + classes, (x + 0.5) * DETECTION_STRIDE, (y + 0.5) * DETECTION_STRIDE);
        const left = Math.max(0, box[0] * scaleX);
        const top = Math.max(0, box[1] * scaleY);
        const right = Math.min(size.width, box[2] * scaleX);
        const bottom = Math.min(size.height, box[3] * scaleY);
        if (right <= left || bottom <= top) continue;
        const score = 1 / (1 + Math.exp(-logit));
        found.push({ classIndex: c, score, x: left, y: top, width: right - left, height: bottom - top });
      }
    }
  }
  return suppress(found, options);
}

/** Greedy non-maximum suppression per class; the result is sorted by falling score. */
function suppress(detections: readonly Detection[], options: DetectionOptions): Detection[] {
  const kept: Detection[] = [];
  for (const candidate of detections.toSorted((a, b) => b.score - a.score)) {
    if (kept.length === options.maxDetections) break;
    const hidden = kept.some(
      (better) => better.classIndex === candidate.classIndex && overlap(better, candidate) > options.maxOverlap,
    );
    if (!hidden) kept.push(candidate);
  }
  return kept;
}

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Intersection over union. */
function overlap(a: Rectangle, b: Rectangle): number {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (across <= 0 || down <= 0) return 0;
  const both = across * down;
  return both / (a.width * a.height + b.width * b.height - both);
}

/** True where no neighbour among the eight has a higher logit; the first of equals wins. */
function isPeak(
  map: Float32Array,
  x: number,
  y: number,
  columns: number,
  rows: number,
  channels: number,
  channel: number,
): boolean {
  const own = map[(y * columns + x) * channels + channel] as number;
  for (let v = Math.max(0, y - 1); v <= Math.min(rows - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(columns - 1, x + 1); u++) {
      const other = map[(v * columns + u) * channels + channel] as number;
      const earlier = v < y || (v === y && u < x);
      if (other > own || (other === own && earlier)) return false;
    }
  }
  return true;
}

interface Blend {
  readonly low: number;
  readonly high: number;
  /** Share of `high`. */
  readonly share: number;
}

/** For each pixel of the picture, the two cells of the map around its centre. */
function blends(pixels: number, content: number, stride: number, cells: number): Blend[] {
  return Array.from({ length: pixels }, (_, i) => {
    const at = ((i + 0.5) * content) / pixels / stride - 0.5;
    const low = Math.min(cells - 1, Math.max(0, Math.floor(at)));
    const high = Math.min(cells - 1, low + 1);
    return { low, high, share: Math.min(1, Math.max(0, at - low)) };
  });
}

/**
 * Bilinear resize of a map to the picture, leaving padding out.
 *
 * @param map [h, w, channels]
 * @returns called for every pixel with the interpolated channels
 */
export function resizeMap(
  map: Float32Array,
  channels: number,
  stride: number,
  geometry: Geometry,
  size: PictureSize,
  visit: (pixel: number, values: Float32Array) => void,
): void {
  const cells = geometry.width / stride;
  const columns = blends(size.width, geometry.contentWidth, stride, cells);
  const rows = blends(size.height, geometry.contentHeight, stride, geometry.height / stride);
  const line = new Float32Array(cells * channels);
  const values = new Float32Array(channels);
  for (const [y, row] of rows.entries()) {
    const low = row.low * line.length;
    const high = row.high * line.length;
    for (let i = 0; i < line.length; i++) {
      const value = map[low + i] as number;
      line[i] = value + row.share * ((map[high + i] as number) - value);
    }
    for (let x = 0; x < columns.length; x++) {
      const column = columns[x] as Blend;
      const left = column.low * channels;
      const right = column.high * channels;
      for (let c = 0; c < channels; c++) {
        const value = line[left + c] as number;
        values[c] = value + column.share * ((line[right + c] as number) - value);
      }
      visit(y * size.width + x, values);
    }
  }
}

/** The most probable class of every pixel. @param map [h, w, classes] logits */
export function decodeClasses(
  map: Float32Array,
  classes: number,
  stride: number,
  geometry: Geometry,
  size: PictureSize,
): Uint8Array {
  const out = new Uint8Array(size.width * size.height);
  resizeMap(map, classes, stride, geometry, size, (pixel, logits) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if ((logits[c] as number) > (logits[best] as number)) best = c;
    out[pixel] = best;
  });
  return out;
}

/** Probability of the most probable class of every pixel. @param map [h, w, classes] logits */
export function decodeConfidence(
  map: Float32Array,
  classes: number,
  stride: number,
  geometry: Geometry,
  size: PictureSize,
): Float32Array {
  const out = new Float32Array(size.width * size.height);
  resizeMap(map, classes, stride, geometry, size, (pixel, logits) => {
    let highest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) highest = Math.max(highest, logits[c] as number);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp((logits[c] as number) - highest);
    out[pixel] = 1 / sum;
  });
  return out;
}

/** Highest probability, over classes, that an object's centre is here. @param map [h, w, classes + 4] */
export function decodeHeat(map: Float32Array, classes: number, geometry: Geometry, size: PictureSize): Float32Array {
  const out = new Float32Array(size.width * size.height);
  resizeMap(map, classes + 4, DETECTION_STRIDE, geometry, size, (pixel, values) => {
    let highest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) highest = Math.max(highest, values[c] as number);
    out[pixel] = 1 / (1 + Math.exp(-highest));
  });
  return out;
}

/** Normalised depth of every pixel. @param map [h, w] */
export function decodeDepth(map: Float32Array, stride: number, geometry: Geometry, size: PictureSize): Float32Array {
  const out = new Float32Array(size.width * size.height);
  resizeMap(map, 1, stride, geometry, size, (pixel, values) => {
    out[pixel] = values[0] as number;
  });
  return out;
}

/** Probabilities of the classes; the largest logit is taken off first, so that nothing overflows. */
export function softmax(logits: Float32Array): Float32Array {
  const highest = logits.reduce((max, logit) => Math.max(max, logit), Number.NEGATIVE_INFINITY);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
