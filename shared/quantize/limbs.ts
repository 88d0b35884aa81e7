/**
 * Additive statistics (non-negative integers below 2^53) as several small words each, so that the sum over the
 * cohort cannot overflow any of them.
 */
import { CodedError } from "../errors.ts";
import type { WordBits, Words } from "../secagg/mask.ts";

const STATISTIC_BITS = 53;

export interface Limbs {
  /** Bits of a statistic in one word: cohortMax * (2^bits - 1) < 2^m. */
  readonly bits: number;
  /** Words per statistic. */
  readonly count: number;
}

/** Limbs that no sum over `cohortMax` clients overflows; throws CONFIG_HEADROOM when a word has no bit left for one. */
export function limbsFor(wordBits: WordBits, cohortMax: number): Limbs {
  const bits = wordBits - Math.ceil(Math.log2(cohortMax));
  if (bits < 1) {
    throw new CodedError("CONFIG_HEADROOM", `schedule.cohort.max: ${cohortMax} is too large for wordBits ${wordBits}`, {
      wordBits,
      cohortMax,
    });
  }
  return { bits, count: Math.ceil(STATISTIC_BITS / bits) };
}

/** Writes one statistic at `offset`, least significant limb first; throws STATISTIC_INVALID with its name. */
export function writeLimbs(limbs: Limbs, name: string, value: number, out: Words, offset: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new CodedError("STATISTIC_INVALID", `${name}: expected a non-negative integer below 2^53, got ${value}`, {
      field: name,
      got: value,
    });
  }
  let rest = value;
  const base = 2 ** limbs.bits;
  for (let i = 0; i < limbs.count; i++) {
    out[offset + i] = rest % base;
    rest = Math.floor(rest / base);
  }
}

/** The sum of one statistic; throws STATISTIC_INVALID when it is 2^53 or more. */
export function readLimbs(limbs: Limbs, name: string, sum: Words, offset: number): number {
  let total = 0n;
  for (let i = limbs.count - 1; i >= 0; i--) total = (total << BigInt(limbs.bits)) + BigInt(sum[offset + i] as number);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CodedError("STATISTIC_INVALID", `${name}: the sum ${total} is 2^53 or more`, { field: name });
  }
  return Number(total);
}
