/**
 * The client half of an update: check, clip, fixed point, words to be masked (or boxed to a trusted coordinator).
 * Its other half is `coordinator/aggregate/decode.ts`.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { clipFactor, l2Norm } from "../../shared/privacy/clip.ts";
import { encodeCoordinates, weightOf, type FixedPoint } from "../../shared/quantize/fixed-point.ts";
import { newWords, type Words } from "../../shared/secagg/mask.ts";
import { SHARE, type LocalScaling } from "../../shared/strategies/scaling.ts";
import { writeReal, writeStatistics, type Statistics, type VectorLayout } from "../../shared/secagg/vector-layout.ts";

export interface UpdateRules {
  readonly layout: VectorLayout;
  readonly fixed: FixedPoint;
  /** L2 bound of one client's delta; null for none. */
  readonly clipNorm: number | null;
  readonly examplesPerWeight: number;
}

/** What local training produced. */
export interface LocalUpdate {
  readonly delta: Float32Array;
  /** Examples this site trains on. */
  readonly examples: number;
  /** Examples processed, repetitions included. */
  readonly examplesSeen: number;
  /** Sum of the loss over the examples processed. */
  readonly lossSum: number;
  /** Of strategies that scale updates (`shared/strategies/scaling.ts`). */
  readonly scaling?: LocalScaling | null;
}

export interface EncodedUpdate {
  readonly words: Words;
  readonly weight: number;
  /** Norm before clipping. */
  readonly norm: number;
  /** Coordinates beyond the bound. */
  readonly clipped: number;
}

/**
 * This client's own check, before anything leaves it. UPDATE_SHAPE; UPDATE_NOT_FINITE names the tensor.
 * @returns the delta's L2 norm
 */
export function checkUpdate(delta: Float32Array, params: ParamLayout): number {
  if (delta.length !== params.length) {
    throw new CodedError("UPDATE_SHAPE", `the update has ${delta.length} values, the model ${params.length}`, {
      expected: params.length,
      got: delta.length,
    });
  }
  const norm = l2Norm(delta);
  if (Number.isFinite(norm)) return norm;
  const at = delta.findIndex((value) => !Number.isFinite(value));
  const tensor = params.tensors.find(({ offset, size }) => at >= offset && at < offset + size)?.name;
  throw new CodedError("UPDATE_NOT_FINITE", `the update has ${delta[at]} in ${tensor}`, { tensor, index: at });
}

/** Checks and encodes an update into `words`, all of which it writes. Errors of {@link checkUpdate}; STATISTIC_INVALID for counts or losses that are none. */
export function encodeUpdate(
  rules: UpdateRules,
  params: ParamLayout,
  update: LocalUpdate,
  words: Words = newWords(rules.layout.wordBits, rules.layout.words),
): EncodedUpdate {
  const { layout, fixed } = rules;
  const norm = checkUpdate(update.delta, params);
  if (layout.coordinates !== params.length || layout.weightAt === null) {
    throw new CodedError(
      "UPDATE_SHAPE",
      `the vector has ${layout.coordinates} coordinates, the model ${params.length}`,
      {
        expected: layout.coordinates,
        got: params.length,
      },
    );
  }
  const weight = weightOf(update.examples, rules.examplesPerWeight, fixed.maxWeight);
  const { scaling } = update;
  const scale = scaling?.factor ?? 1;
  const factor = scale * clipFactor(norm * scale, rules.clipNorm);
  const clipped = encodeCoordinates(fixed, update.delta, weight, factor, words);
  words[layout.weightAt] = weight;
  const { examples, examplesSeen, lossSum } = update;
  const share = scaling?.share === undefined ? {} : writeReal(SHARE, weight * scaling.share);
  writeStatistics(layout, { clipped, examples, examplesSeen, ...writeReal("loss", lossSum), ...share }, words);
  return { words, weight, norm, clipped };
}

/** A vector of statistics only, as evaluation sends it. */
export function encodeStatistics(layout: VectorLayout, statistics: Statistics): Words {
  const words = newWords(layout.wordBits, layout.words);
  writeStatistics(layout, statistics, words);
  return words;
}
