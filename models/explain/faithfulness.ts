/**
 * The deletion and insertion test (Petsiuk et al. 2018, RISE): what a map calls important is taken out of the sample
 * first, and put into an empty one first, while the target is watched. A map that tells the truth makes it fall early and
 * rise early. Areas under both curves are compared with those of orders drawn at random.
 */
import type { Rng } from "../../shared/rng/rng.ts";
import type { OutputHead } from "../allulook4/build.ts";
import * as tf from "../engine/tf.ts";
import type { Geometry } from "../preprocess/prepare.ts";
import { blurred } from "./maps.ts";
import type { Modality, OpenSample, Point } from "./points.ts";
import { scoresOf, type Target } from "./target.ts";

/** Model pixels per side of what is taken out at once. */
export const PATCH = 8;
/** Points of a curve, besides the first. */
const STEPS = 10;
/** A picture is blurred with boxes of this share of its shorter side to each side: no object is left. */
const BLUR = 1 / 12;

/** Areas under the curves; each is a mean of the target's score over the way. */
export interface Areas {
  /** Lower is better. */
  readonly deletion: number;
  /** Higher is better. */
  readonly insertion: number;
}

/** The parts of a modality that are taken out one after the other: patches of a picture, or words. */
export interface Parts {
  readonly count: number;
  /** The part of every value of the point; -1: never taken out. */
  readonly partOf: Int32Array;
}

/** Patches of the picture, padding apart. @param channels of the modality's point */
export function patches(geometry: Geometry, channels: number): Parts {
  const { width, height, contentWidth, contentHeight } = geometry;
  const columns = Math.ceil(contentWidth / PATCH);
  const partOf = Int32Array.from({ length: width * height * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    return x < contentWidth && y < contentHeight ? Math.floor(y / PATCH) * columns + Math.floor(x / PATCH) : -1;
  });
  return { count: Math.ceil(contentHeight / PATCH) * columns, partOf };
}

/** The first `count` words. */
export function words({ shape: [all = 0, width = 0] }: Point, count: number): Parts {
  const partOf = Int32Array.from({ length: all * width }, (_, i) => {
    const word = Math.floor(i / width);
    return word < count ? word : -1;
  });
  return { count, partOf };
}

/**
 * Areas for some orders of parts of one modality; the other modalities stay as they are. Deleted parts become what is
 * absent; an insertion begins with the picture blurred (Petsiuk et al.), with depth and words absent.
 *
 * @param orders the parts, the most important first
 */
export function areasOf(
  sample: OpenSample,
  target: Target,
  modality: Modality,
  parts: Parts,
  orders: readonly ArrayLike<number>[],
  atOnce: number,
): Areas[] {
  const point = sample.points.get(modality) as Point;
  const veiled = modality === "rgb" ? blurredPicture(point) : point.absent;
  const ranks = orders.map((order) => {
    const rank = new Int32Array(parts.count);
    for (let i = 0; i < order.length; i++) rank[order[i] as number] = i;
    return rank;
  });
  const points = STEPS + 1;
  /** Variants are numbered by order, then deletion before insertion, then step. */
  const draw = (variant: number, out: Float32Array) => {
    const rank = ranks[Math.floor(variant / (2 * points))] as Int32Array;
    const [first, then] = Math.floor(variant / points) % 2 === 0 ? [point.at, point.absent] : [veiled, point.at];
    const taken = Math.round(((variant % points) * parts.count) / STEPS);
    for (let i = 0; i < out.length; i++) {
      const part = parts.partOf[i] as number;
      out[i] = (part >= 0 && (rank[part] as number) < taken ? then[i] : first[i]) as number;
    }
  };
  const scores = watch(sample, target, modality, orders.length * 2 * points, draw, atOnce);
  const area = (curve: number) => trapezium(scores.slice(curve * points, (curve + 1) * points));
  return orders.map((_, i) => ({ deletion: area(2 * i), insertion: area(2 * i + 1) }));
}

function blurredPicture({ at, shape: [height = 0, width = 0, channels = 0] }: Point): Float32Array {
  return blurred(at, height, width, channels, Math.max(1, Math.round(Math.min(height, width) * BLUR)));
}

/** Parts by falling importance; equals in random order. */
export function orderOf(importance: ArrayLike<number>, rng: Rng): Int32Array {
  const shuffled = randomOrder(importance.length, rng);
  return shuffled.sort((a, b) => (importance[b] as number) - (importance[a] as number));
}

export function randomOrder(count: number, rng: Rng): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const k = rng.below(i + 1);
    [order[i], order[k]] = [order[k] as number, order[i] as number];
  }
  return order;
}

/**
 * How much of the answer is left for each of `count` variants, in [0, 1]: the target's probability; for depth, which has
 * none, the ratio to the depth of the whole sample, exp(-mean |log ratio|) (for relative depth, of normalised
 * differences).
 */
function watch(
  sample: OpenSample,
  target: Target,
  modality: Modality,
  count: number,
  draw: (variant: number, out: Float32Array) => void,
  atOnce: number,
): number[] {
  const { shape, at } = sample.points.get(modality) as Point;
  let whole: Float32Array | null = null;
  if (target.head === "depth") {
    tf.tidy(() => {
      whole = mapOf(target, sample.outputs(new Map(), 1));
    });
  }
  const scores: number[] = [];
  for (let first = 0; first < count; first += atOnce) {
    const size = Math.min(atOnce, count - first);
    const values = new Float32Array(size * at.length);
    for (let i = 0; i < size; i++) draw(first + i, values.subarray(i * at.length, (i + 1) * at.length));
    tf.tidy(() => {
      const outputs = sample.outputs(new Map([[modality, tf.tensor(values, [size, ...shape])]]), size);
      scores.push(...(whole === null ? scoresOf(target, outputs).dataSync() : likeness(target, outputs, whole, size)));
    });
  }
  return scores;
}

function likeness(target: Target, outputs: ReadonlyMap<OutputHead, tf.Tensor>, whole: Float32Array, size: number) {
  const maps = mapOf(target, outputs);
  return Float32Array.from({ length: size }, (_, i) => {
    let difference = 0;
    for (const [k, weight] of target.weights.entries()) {
      difference += weight * Math.abs((maps[i * whole.length + k] as number) - (whole[k] as number));
    }
    return Math.exp(-difference);
  });
}

function mapOf({ head }: Target, outputs: ReadonlyMap<OutputHead, tf.Tensor>): Float32Array {
  return (outputs.get(head) as tf.Tensor).dataSync<"float32">();
}

function trapezium(values: readonly number[]): number {
  const inner = values.slice(1, -1).reduce((sum, value) => sum + value, 0);
  return (inner + ((values[0] as number) + (values.at(-1) as number)) / 2) / (values.length - 1);
}
