/** What is not there: dirt or a thing before the lens, depth readings that got lost, words that were not written. */
import type { Rng } from "../../../shared/rng/rng.ts";
import type { Geometry, PreparedSample } from "../prepare.ts";
import { TEXT_FEATURES, TEXT_WORDS } from "../text.ts";
import { smoothRanks } from "./field.ts";
import { atSeverity } from "./picture.ts";

/**
 * Share of the picture that is hidden, graded as patches in Naseer et al. 2021 ("Intriguing properties of vision
 * transformers"), shaped as soiling on a lens (Uricar et al. 2021, "Let's get dirty").
 */
const HIDDEN = [0.05, 0.12, 0.2, 0.32, 0.45] as const;
const DIRT = [44, 40, 36] as const;
/** Blobs along the longer side, about. */
const BLOBS = 4;

/** Hides a part of picture and depth map alike. Labels stay: what is hidden is still there. */
export function occluded(sample: PreparedSample, severity: number, rng: Rng): PreparedSample {
  const hidden = pixelsBelow(atSeverity(HIDDEN, 0, severity), 2, sample.geometry, rng);
  const rgb = sample.rgb?.slice() ?? null;
  for (const pixel of hidden) rgb?.set(DIRT, 3 * pixel);
  return { ...sample, rgb, depth: withoutReadings(sample.depth, hidden) };
}

/** Loses a fifth of the depth map a severity, in patches; at 5 there is no depth. */
export function withoutDepth(sample: PreparedSample, severity: number, rng: Rng): PreparedSample {
  if (severity >= 5) return { ...sample, depth: null };
  return { ...sample, depth: withoutReadings(sample.depth, pixelsBelow(severity / 5, 3, sample.geometry, rng)) };
}

/** Loses a fifth of the caption's words a severity; at 5 there is no text. */
export function withoutText(sample: PreparedSample, severity: number, rng: Rng): PreparedSample {
  if (sample.text === null) return sample;
  if (severity >= 5) return { ...sample, text: null, mirroredText: null };
  const { text } = sample;
  const words = Array.from({ length: TEXT_WORDS }, (_, word) => word).filter(
    (word) => text[word * TEXT_FEATURES] !== 0,
  );
  const lost = rng.shuffled(words).slice(0, Math.round((words.length * severity) / 5));
  return { ...sample, text: withoutWords(text, lost), mirroredText: withoutWords(sample.mirroredText, lost) };
}

function withoutWords<T extends Int32Array | null>(text: T, lost: readonly number[]): T {
  const left = text?.slice() ?? null;
  for (const word of lost) left?.fill(0, word * TEXT_FEATURES, (word + 1) * TEXT_FEATURES);
  return left as T;
}

/** Pixels of the padded map, that share of its content: blobs that grow with the share. */
function pixelsBelow(share: number, octaves: number, geometry: Geometry, rng: Rng): number[] {
  const { width, contentWidth, contentHeight } = geometry;
  const ranks = smoothRanks(contentWidth, contentHeight, BLOBS, octaves, rng);
  const pixels: number[] = [];
  for (const [at, rank] of ranks.entries()) {
    if (rank < share) pixels.push(Math.floor(at / contentWidth) * width + (at % contentWidth));
  }
  return pixels;
}

function withoutReadings(depth: Float32Array | null, lost: readonly number[]): Float32Array | null {
  const left = depth?.slice() ?? null;
  if (left !== null) for (const pixel of lost) left[pixel] = Number.NaN;
  return left;
}
