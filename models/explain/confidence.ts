/**
 * How sure a model is, pixel by pixel. Classes: 1 - entropy / log K, 1 where one class has all the probability, 0 where
 * all are alike. Depth has no probability: what can be had is how much the estimate moves when the picture is changed in
 * ways that change no distance (noise, contrast, brightness as in training). Small movement is no proof of being right.
 */
import type { Labels } from "../../shared/config/federation.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import { decodeDepth, type PictureSize, resizeMap } from "../allulook4/decode.ts";
import type { PredictConfig } from "../allulook4/predict.ts";
import * as tf from "../engine/tf.ts";
import { alignment } from "../metrics/depth.ts";
import type { Geometry } from "../preprocess/prepare.ts";
import type { DepthMap } from "../preprocess/sample.ts";
import type { BuiltModel } from "../registry.ts";
import { type ExplainedSample, mapsOf } from "./explain.ts";
import { variantsAtOnce } from "./integrated-gradients.ts";
import type { OpenSample, Point } from "./points.ts";

export interface Confidence {
  /** One value a pixel of the picture, in [0, 1]; null without a segmentation head. */
  readonly certainty: Float32Array | null;
  /** Deviation of normalised depth, one value a pixel of the picture; null without a depth head or a picture. */
  readonly depthSpread: Float32Array | null;
}

/** Confidence maps of an explained sample. Needs a loaded engine. */
export function confidenceOf(
  built: BuiltModel,
  config: PredictConfig,
  { geometry, whole, depthless }: ExplainedSample,
  size: PictureSize,
  rng: Rng,
): Confidence {
  const { segmentation: stride, depth: depthStride } = built.strides;
  const logits = mapsOf(whole).get("segmentation");
  const hasDepth = config.labels.depth.kind !== "none";
  const atOnce = variantsAtOnce(geometry.height, geometry.width);
  const spread = hasDepth ? depthSpread(depthless, atOnce, rng) : null;
  return {
    certainty:
      logits === undefined ? null : certaintyMap(logits, config.labels.segmentation.length, stride, geometry, size),
    depthSpread: spread === null ? null : decodeDepth(spread, depthStride, geometry, size),
  };
}

/** @param logits [h, w, classes] */
function certaintyMap(
  logits: Float32Array,
  classes: number,
  stride: number,
  geometry: Geometry,
  size: PictureSize,
): Float32Array {
  const out = new Float32Array(size.width * size.height);
  resizeMap(logits, classes, stride, geometry, size, (pixel, values) => {
    out[pixel] = certainty(values);
  });
  return out;
}

/** 1 - entropy / log K of softmax(logits); 1 for a single class. */
export function certainty(logits: ArrayLike<number>): number {
  if (logits.length < 2) return 1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) highest = Math.max(highest, logits[i] as number);
  let sum = 0;
  let weighted = 0;
  for (let i = 0; i < logits.length; i++) {
    const above = (logits[i] as number) - highest;
    sum += Math.exp(above);
    weighted += above * Math.exp(above);
  }
  return 1 - (Math.log(sum) - weighted / sum) / Math.log(logits.length);
}

const VARIANTS = 8;
/** In deviations of a picture's values. */
const NOISE = 0.2;
const CONTRAST = 0.2;
const BRIGHTNESS = 0.2;

/**
 * Deviation of the normalised depth over variants of the picture: for metric depth about the relative change.
 *
 * @returns [h * w], in cells of the depth head's map; null without a picture
 */
function depthSpread(sample: OpenSample, atOnce: number, rng: Rng): Float32Array | null {
  const picture = sample.points.get("rgb");
  if (picture === undefined) return null;
  const maps: Float32Array[] = [];
  for (let first = 0; first < VARIANTS; first += atOnce) {
    const count = Math.min(atOnce, VARIANTS - first);
    tf.tidy(() => {
      const moved = tf.tensor(variantsOf(picture, count, rng), [count, ...picture.shape]);
      const depth = sample.outputs(new Map([["rgb", moved]]), count).get("depth") as tf.Tensor;
      const values = depth.dataSync<"float32">();
      for (let i = 0; i < count; i++) {
        maps.push(values.slice((i * values.length) / count, ((i + 1) * values.length) / count) as Float32Array);
      }
    });
  }
  return Float32Array.from({ length: (maps[0] as Float32Array).length }, (_, i) => {
    const values = maps.map((map) => map[i] as number);
    const mean = values.reduce((sum, value) => sum + value, 0) / VARIANTS;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (VARIANTS - 1));
  });
}

function variantsOf({ at }: Point, count: number, rng: Rng): Float32Array {
  const out = new Float32Array(count * at.length);
  for (let v = 0; v < count; v++) {
    const contrast = Math.exp(CONTRAST * (2 * rng.uniform() - 1));
    const brightness = BRIGHTNESS * (2 * rng.uniform() - 1);
    for (const [i, value] of at.entries())
      out[v * at.length + i] = value * contrast + brightness + NOISE * rng.normal();
  }
  return out;
}

/**
 * Whether the spread of depth tells where it is wrong: Spearman's rank correlation of spread and relative error over the
 * pixels with a reading, in [-1, 1]. Null without them.
 */
export function spreadTellsError(
  spread: Float32Array,
  depth: Float32Array,
  truth: DepthMap,
  kind: Labels["depth"]["kind"],
): number | null {
  const counts = (i: number) => truth.valid[i] === 1;
  const fit = kind === "metric" ? { scale: 1, shift: 0 } : alignment(depth, truth.values, counts);
  const pixels = [...spread.keys()].filter(counts);
  if (pixels.length < 2) return null;
  const errors = pixels.map((i) => {
    const real = truth.values[i] as number;
    return Math.abs(fit.scale * (depth[i] as number) + fit.shift - real) / Math.max(Math.abs(real), 1e-9);
  });
  return rankCorrelation(
    pixels.map((i) => spread[i] as number),
    errors,
  );
}

/** Spearman's, with mean ranks for equals; 0 where one side is constant. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranks(a), ranks(b)];
  const mean = (x.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, rank] of x.entries()) {
    const [dx, dy] = [rank - mean, (y[i] as number) - mean];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

function ranks(values: readonly number[]): Float64Array {
  const order = [...values.keys()].sort((i, k) => (values[i] as number) - (values[k] as number));
  const out = new Float64Array(values.length);
  for (let first = 0, next = 0; first < order.length; first = next) {
    while (next < order.length && values[order[next] as number] === values[order[first] as number]) next++;
    for (let i = first; i < next; i++) out[order[i] as number] = (first + next - 1) / 2;
  }
  return out;
}
