/**
 * The server half of an update: from the exact integer sum to the weighted mean delta and the summed statistics, after
 * checking what a sum over these survivors can be at all. Its other half is `client/update/encode.ts`.
 */
import { CodedError } from "../../shared/errors.ts";
import { l2Norm } from "../../shared/privacy/clip.ts";
import type { PrivateGrid } from "../../shared/privacy/plan.ts";
import { decodeMean, signedView, type FixedPoint } from "../../shared/quantize/fixed-point.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import { SHARE, type ShareRange } from "../../shared/strategies/scaling.ts";
import { readReal, readStatistics, REAL_STEP, type VectorLayout } from "../../shared/secagg/vector-layout.ts";

export interface AggregateRules {
  readonly layout: VectorLayout;
  readonly fixed: FixedPoint;
  readonly clipNorm: number | null;
  /** Client-level privacy; left out without it. */
  readonly noisy?: NoisyMean;
  /** Of strategies that scale updates; null or left out where none does. */
  readonly shares?: ShareRange | null;
}

/** A sum with noise, and the mean that is made of it. */
interface NoisyMean {
  readonly grid: PrivateGrid;
  /** Clients that the sum is divided by, however many are in it. */
  readonly denominator: number;
  /**
   * The noise of one coordinate of the sum. "clients": they have added theirs. "open": the coordinator is trusted to, and
   * has yet to say with which (`withNoise` of private-rules.ts).
   */
  readonly noise: "clients" | "open" | (() => number);
}

export interface Aggregate {
  /** Weighted mean of the survivors' deltas; the server optimizer takes its negative as pseudo-gradient. */
  readonly meanDelta: Float32Array;
  readonly totalWeight: number;
  /** L2 norm of the mean. */
  readonly norm: number;
  /** Coordinates that clients had to clip, over all their coordinates. */
  readonly clippedShare: number;
  readonly examples: number;
  readonly examplesSeen: number;
  /** Mean over the examples processed. */
  readonly loss: number;
  /** The sum that a strategy which scales updates goes by; 0 where none does. */
  readonly totalShare: number;
  /**
   * Share of the survivors whose update was within the clipping norm, with noise: it may lie outside [0, 1]. Null where
   * the norm is fixed.
   */
  readonly shareWithinClip: number | null;
}

/**
 * AGGREGATE_WEIGHT when the total weight is impossible for this many survivors; AGGREGATE_RANGE when a coordinate or
 * statistic is; AGGREGATE_NORM when the mean is longer than the clipping norm allows.
 */
export function decodeAggregate(rules: AggregateRules, sum: Words, survivors: number): Aggregate {
  const { layout, fixed, clipNorm, noisy } = rules;
  if (sum.length !== layout.words || layout.weightAt === null) throw new Error("the sum does not have this layout");
  const totalWeight = sum[layout.weightAt] as number;
  if (totalWeight < survivors || totalWeight > survivors * fixed.maxWeight) {
    throw new CodedError("AGGREGATE_WEIGHT", `total weight ${totalWeight} of ${survivors} survivors`, {
      expected: [survivors, survivors * fixed.maxWeight],
      got: totalWeight,
    });
  }
  const sums = signedView(sum.subarray(0, layout.coordinates));
  checkRange(sums, fixed.qMax * totalWeight + (noisy?.grid.tail ?? 0));
  const meanDelta = noisy === undefined ? decodeMean(fixed, sums, totalWeight) : noisyMean(fixed, sums, noisy);
  const norm = l2Norm(meanDelta);
  // Every q is rounded by at most half a step.
  const rounding = (0.5 / fixed.scale) * Math.sqrt(layout.coordinates);
  // Noise is longer than any mean: what is wrong in it shows in no norm.
  if (clipNorm !== null && noisy === undefined && norm > (clipNorm + rounding) * (1 + 1e-6)) {
    throw new CodedError("AGGREGATE_NORM", `the mean delta has norm ${norm}, clipNorm is ${clipNorm}`, {
      expected: clipNorm,
      got: norm,
    });
  }
  const shareWithinClip = noisy === undefined ? null : withinClip(layout, sum, noisy, totalWeight);
  const statistics = readStatistics(layout, sum);
  const totalShare = readReal(statistics, SHARE);
  const possible = impossibleShare(rules, totalShare, totalWeight, survivors);
  if (possible !== null) {
    throw new CodedError("AGGREGATE_RANGE", `shares sum to ${totalShare}, possible are ${possible.join(" to ")}`, {
      field: SHARE,
      expected: possible,
      got: totalShare,
    });
  }
  const { clipped = 0, examples = 0, examplesSeen = 0 } = statistics;
  return {
    meanDelta,
    totalWeight,
    norm,
    clippedShare: clipped / (survivors * layout.coordinates),
    examples,
    examplesSeen,
    loss: readReal(statistics, "loss") / Math.max(1, examplesSeen),
    shareWithinClip,
    totalShare,
  };
}

/** Null where these clients can have sent shares of that sum; else what is possible. */
export function impossibleShare(
  { shares }: AggregateRules,
  totalShare: number,
  totalWeight: number,
  clients: number,
): readonly [least: number, most: number] | null {
  if (shares == null) return null;
  const rounding = clients * REAL_STEP;
  const least = shares.least * totalWeight - rounding;
  const most = shares.most * totalWeight + rounding;
  return totalShare >= least && totalShare <= most ? null : [least, most];
}

function noisyMean(
  { scale }: FixedPoint,
  sums: Int32Array | Int16Array,
  { denominator, noise }: NoisyMean,
): Float32Array {
  const divisor = scale * denominator;
  const mean = new Float32Array(sums.length);
  const sample = sampler(noise);
  for (let i = 0; i < sums.length; i++) mean[i] = ((sums[i] as number) + sample()) / divisor;
  return mean;
}

/** Every client sent its bit as plus or minus `grid.bit`; every client weighs 1. */
function withinClip(layout: VectorLayout, sum: Words, { grid, noise }: NoisyMean, clients: number): number | null {
  const { clipBitAt } = layout;
  if (clipBitAt === null) return null;
  const bits = signedView(sum.subarray(clipBitAt, clipBitAt + 1));
  checkRange(bits, grid.bit * clients + grid.tail);
  return 0.5 + ((bits[0] as number) + sampler(noise)()) / (2 * grid.bit * clients);
}

function sampler(noise: NoisyMean["noise"]): () => number {
  if (noise === "open") throw new Error("a trusted coordinator's sum is decoded with its noise");
  return noise === "clients" ? () => 0 : noise;
}

function checkRange(sums: Int32Array | Int16Array, largest: number): void {
  for (let i = 0; i < sums.length; i++) {
    const value = sums[i] as number;
    if (value > largest || value < -largest) {
      throw new CodedError("AGGREGATE_RANGE", `coordinate ${i} sums to ${value}, at most ${largest} is possible`, {
        index: i,
        expected: largest,
        got: value,
      });
    }
  }
}
