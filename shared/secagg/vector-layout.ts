/**
 * What stands where in the vector that is summed; both sides derive it from the plan.
 *   coordinates (w * q each) | weight w, if there are coordinates | statistics, some limbs each, in the order declared |
 *   one word for adaptive clipping, if there is any
 */
import { CodedError } from "../errors.ts";
import { limbsFor, readLimbs, writeLimbs, type Limbs } from "../quantize/limbs.ts";
import type { WordBits, Words } from "./mask.ts";

export interface VectorLayout {
  readonly wordBits: WordBits;
  readonly cohortMax: number;
  readonly coordinates: number;
  /** Where the weight stands; null in a vector of statistics only. */
  readonly weightAt: number | null;
  readonly statistics: readonly string[];
  readonly statisticsAt: number;
  readonly limbs: Limbs;
  /** Where it stands whether the update was within its clipping norm (shared/privacy/adaptive-clip.ts); null: nowhere. */
  readonly clipBitAt: number | null;
  /** Length of the vector. */
  readonly words: number;
}

/** A vector of `coordinates` (0 for statistics only) and named statistics. Names must differ. */
export function vectorLayout(config: {
  wordBits: WordBits;
  cohortMax: number;
  coordinates: number;
  statistics: readonly string[];
  clipBit?: boolean;
}): VectorLayout {
  const { wordBits, cohortMax, coordinates, statistics, clipBit = false } = config;
  if (new Set(statistics).size !== statistics.length) throw new Error("two statistics have one name");
  const limbs = limbsFor(wordBits, cohortMax);
  const weightAt = coordinates > 0 ? coordinates : null;
  const statisticsAt = coordinates > 0 ? coordinates + 1 : 0;
  const end = statisticsAt + statistics.length * limbs.count;
  const clipBitAt = clipBit ? end : null;
  const words = clipBit ? end + 1 : end;
  return { wordBits, cohortMax, coordinates, weightAt, statistics, statisticsAt, limbs, clipBitAt, words };
}

/** Statistics of one client: non-negative integers by name. */
export type Statistics = Readonly<Record<string, number>>;

/** Writes all statistics of the layout; STATISTIC_INVALID when one is missing, extra, or no such integer. */
export function writeStatistics(layout: VectorLayout, statistics: Statistics, out: Words): void {
  const extra = Object.keys(statistics).find((name) => !layout.statistics.includes(name));
  if (extra !== undefined) {
    throw new CodedError("STATISTIC_INVALID", `${extra} is not in the plan's vector`, { field: extra });
  }
  for (const [i, name] of layout.statistics.entries()) {
    const value = statistics[name] ?? Number.NaN;
    writeLimbs(layout.limbs, name, value, out, layout.statisticsAt + i * layout.limbs.count);
  }
}

/** The sums of all statistics of the layout; STATISTIC_INVALID when one does not fit a number exactly. */
export function readStatistics(layout: VectorLayout, sum: Words): Record<string, number> {
  return Object.fromEntries(
    layout.statistics.map((name, i) => [
      name,
      readLimbs(layout.limbs, name, sum, layout.statisticsAt + i * layout.limbs.count),
    ]),
  );
}

/** Fraction bits of a real number sent as a statistic. */
const REAL_SCALE = 2 ** 20;
/** Within which a real number arrives. */
export const REAL_STEP = 1 / REAL_SCALE;

/** The two statistics that carry the real number `name` (training losses can be negative). */
function realNames(name: string): [string, string] {
  return [`${name}+`, `${name}-`];
}

/** A real number, |value| < 2^33, as two statistics in steps of 2^-20. */
export function writeReal(name: string, value: number): Statistics {
  const scaled = Math.round(value * REAL_SCALE);
  const [positive, negative] = realNames(name);
  return { [positive]: Math.max(scaled, 0), [negative]: Math.max(-scaled, 0) };
}

/** The sum of a real number over the clients. */
export function readReal(statistics: Statistics, name: string): number {
  const [positive, negative] = realNames(name);
  return ((statistics[positive] ?? 0) - (statistics[negative] ?? 0)) / REAL_SCALE;
}

/** What rides with every update: coordinates beyond the bound, local examples, examples processed, their summed loss. */
const TRAINING_STATISTICS = ["clipped", "examples", "examplesSeen", ...realNames("loss")] as const;

/** The vector of a training round. `reals`: numbers of the strategy's that ride along, by name. */
export function trainingLayout(
  config: { wordBits: WordBits; cohortMax: number; coordinates: number; clipBit?: boolean },
  reals: readonly string[] = [],
): VectorLayout {
  return vectorLayout({ ...config, statistics: [...TRAINING_STATISTICS, ...reals.flatMap(realNames)] });
}
