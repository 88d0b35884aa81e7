/**
 * Fixed point for secure sums. A coordinate x in [-bound, bound] becomes the integer q = round(x * scale), with
 * scale = qMax / bound; a client sends w * q mod 2^m, two's complement, for its weight w. The sum over the cohort
 * cannot overflow, so it is the exact integer sum.
 */
import { CodedError } from "../errors.ts";
import type { WordBits, Words } from "../secagg/mask.ts";
import { encodeBlocks } from "./fixed-point-simd.ts";

export interface FixedPoint {
  readonly wordBits: WordBits;
  readonly cohortMax: number;
  /** Largest weight W of one client. */
  readonly maxWeight: number;
  /** Coordinates beyond +-bound are clipped to it. */
  readonly bound: number;
  /** Largest |q|. */
  readonly qMax: number;
  /** Integers per unit. */
  readonly scale: number;
}

export interface FixedPointConfig {
  readonly wordBits: WordBits;
  readonly cohortMax: number;
  readonly maxWeight: number;
  readonly coordinateBound: number;
}

/** Fewer levels than an int8 has are refused. */
const LEAST_Q_MAX = 127;

/**
 * Largest |q| for which cohortMax clients of weight W (and `noiseTail` of noise in the sum) cannot overflow a signed
 * m-bit word. CONFIG_HEADROOM says which number to change.
 */
export function proveHeadroom(
  config: { wordBits: WordBits; cohortMax: number; maxWeight: number },
  noiseTail = 0,
): number {
  const { wordBits, cohortMax, maxWeight } = config;
  const largestSum = 2 ** (wordBits - 1) - 1;
  const qMax = Math.floor((largestSum - noiseTail) / (cohortMax * maxWeight));
  if (qMax < LEAST_Q_MAX) {
    const fitting = Math.floor((largestSum - noiseTail) / LEAST_Q_MAX);
    throw new CodedError(
      "CONFIG_HEADROOM",
      `schedule.cohort.max x secureAggregation.maxWeight: expected at most ${fitting} with wordBits ${wordBits}, got ` +
        `${cohortMax} x ${maxWeight} = ${cohortMax * maxWeight}`,
      { wordBits, cohortMax, maxWeight, qMax, expected: fitting, got: cohortMax * maxWeight },
    );
  }
  return qMax;
}

/** The fixed point that both sides derive from the plan; throws CONFIG_HEADROOM. */
export function fixedPoint(config: FixedPointConfig): FixedPoint {
  const { wordBits, cohortMax, maxWeight, coordinateBound: bound } = config;
  const qMax = proveHeadroom(config);
  return { wordBits, cohortMax, maxWeight, bound, qMax, scale: qMax / bound };
}

/** w = round(examples / examplesPerWeight), at least 1, at most W: nobody needs to know the largest site. */
export function weightOf(examples: number, examplesPerWeight: number, maxWeight: number): number {
  return Math.min(maxWeight, Math.max(1, Math.round(examples / examplesPerWeight)));
}

/** Adding and subtracting 1.5 * 2^52 rounds a float64 below 2^51 to the nearest integer, ties to even. */
const ROUND = 6755399441055744;

/**
 * Writes weight * q of every coordinate to the start of `out`.
 * @param factor multiplies every coordinate first (clipping to a norm)
 * @returns how many coordinates were beyond the bound
 */
export function encodeCoordinates(
  fixed: FixedPoint,
  delta: Float32Array,
  weight: number,
  factor: number,
  out: Words,
): number {
  const { qMax } = fixed;
  const scale = fixed.scale * factor;
  if (out instanceof Uint32Array) return encodeBlocks(delta, scale, qMax, weight, out);
  let clipped = 0;
  for (let i = 0; i < delta.length; i++) {
    let scaled = (delta[i] as number) * scale;
    if (scaled > qMax) {
      scaled = qMax;
      clipped++;
    } else if (scaled < -qMax) {
      scaled = -qMax;
      clipped++;
    }
    out[i] = (scaled + ROUND - ROUND) * weight;
  }
  return clipped;
}

/** The signed sums of coordinates as the words' two's complement: a view, not a copy. */
export function signedView(words: Words): Int32Array | Int16Array {
  return words instanceof Uint32Array
    ? new Int32Array(words.buffer, words.byteOffset, words.length)
    : new Int16Array(words.buffer, words.byteOffset, words.length);
}

/** The weighted mean of the coordinates whose sums these are. */
export function decodeMean(fixed: FixedPoint, sums: Int32Array | Int16Array, totalWeight: number): Float32Array {
  const divisor = fixed.scale * totalWeight;
  const mean = new Float32Array(sums.length);
  for (let i = 0; i < sums.length; i++) mean[i] = (sums[i] as number) / divisor;
  return mean;
}
