/**
 * The normalised depth that the model reads and predicts. Metric: logarithm of metres, shifted by a constant, so that
 * squared error is relative error. Relative and inverse: per picture, zero mean and unit deviation, which is what
 * remains of depth when scale and shift mean nothing; the squared error on it is then a scale-and-shift-invariant loss.
 */
import type { Labels } from "../../shared/config/federation.ts";

export interface DepthScale {
  readonly mean: number;
  readonly deviation: number;
}

/** Logarithm of the distance, in metres, that normalises to 0. */
export const METRIC: DepthScale = { mean: 1, deviation: 1 };
/** Beyond this many deviations a reading is an outlier. */
const LIMIT = 4;

/**
 * @param prepared logarithm of metres or relative units, NaN where there is no reading
 * @param hidden 1 where a reading must not be looked at, or null
 */
export function depthScale(
  prepared: Float32Array,
  kind: Labels["depth"]["kind"],
  hidden: Uint8Array | null,
): DepthScale {
  if (kind === "metric") return METRIC;
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < prepared.length; i++) {
    const value = prepared[i] as number;
    if (Number.isNaN(value) || hidden?.[i] === 1) continue;
    count++;
    sum += value;
    squares += value * value;
  }
  if (count === 0) return { mean: 0, deviation: 1 };
  const mean = sum / count;
  return { mean, deviation: Math.sqrt(Math.max(squares / count - mean * mean, 1e-12)) };
}

/** Prepared depth in the scale that the head learns, clipped. */
export function normalisedDepth(prepared: number, scale: DepthScale): number {
  return Math.min(LIMIT, Math.max(-LIMIT, (prepared - scale.mean) / scale.deviation));
}

/** Back to metres or the dataset's units. */
export function denormalisedDepth(normalised: number, scale: DepthScale, kind: Labels["depth"]["kind"]): number {
  const prepared = normalised * scale.deviation + scale.mean;
  return kind === "metric" ? Math.exp(prepared) : prepared;
}

/** How predictions are read where the picture came without depth: metres where metric, normalised units otherwise. */
export const UNKNOWN_SCALE: Readonly<Record<Labels["depth"]["kind"], DepthScale>> = {
  metric: METRIC,
  relative: { mean: 0, deviation: 1 },
  inverse: { mean: 0, deviation: 1 },
  none: { mean: 0, deviation: 1 },
};
