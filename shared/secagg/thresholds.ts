/**
 * Thresholds of secret sharing (Bonawitz et al. 2017, section 6.2) among n holders: the advertised roster on the
 * complete graph, a client and its neighbours on a sparse one (`sharing-graph.ts`). Against a malicious coordinator
 * that controls c of the holders an honest client is safe while 2t > n + c.
 */
import { CodedError } from "../errors.ts";

export type SecureMode = "malicious" | "semi-honest";

/** Smallest survivors' minimum that a configuration may ask for. */
export const LEAST_SURVIVORS = 3;

export interface Thresholds {
  /** Shares that give back a self-mask seed b, out of n (the client holds one of its own). */
  readonly selfMask: number;
  /** Shares that give back a mask key s, out of n - 1. */
  readonly maskKey: number;
}

export function thresholds(holders: number, mode: SecureMode): Thresholds {
  const selfMask = Math.floor(mode === "malicious" ? (2 * holders) / 3 : holders / 2) + 1;
  return { selfMask, maskKey: Math.min(selfMask, holders - 1) };
}

/** Survivors without whom an attempt cannot end, on every graph: two lists of one roster always have clients in common. */
export function neededSurvivors(rosterSize: number, mode: SecureMode, minSurvivors: number): number {
  return Math.max(thresholds(rosterSize, mode).selfMask, minSurvivors);
}

/** How many of n advertised clients may vanish, all steps together; negative when the round cannot even start. */
export function toleratedDropouts(rosterSize: number, mode: SecureMode, minSurvivors: number): number {
  return rosterSize - neededSurvivors(rosterSize, mode, minSurvivors);
}

/**
 * Refuses configurations under which no round is private or none can end (CONFIG_INVALID, the field named).
 * @returns how many dropouts the smallest cohort tolerates, to be told to the operator
 */
export function checkThresholds(config: {
  mode: SecureMode;
  minSurvivors: number;
  cohort: { min: number; max: number };
}): number {
  const { mode, minSurvivors, cohort } = config;
  if (minSurvivors < LEAST_SURVIVORS) {
    throw invalid("schedule.minSurvivors", `at least ${LEAST_SURVIVORS} with secure aggregation`, minSurvivors);
  }
  if (cohort.max < cohort.min) throw invalid("schedule.cohort.max", `at least cohort.min (${cohort.min})`, cohort.max);
  const tolerated = toleratedDropouts(cohort.min, mode, minSurvivors);
  if (tolerated < 0) throw invalid("schedule.cohort.min", `at least minSurvivors (${minSurvivors})`, cohort.min);
  return tolerated;
}

function invalid(field: string, expected: string, got: number): CodedError {
  return new CodedError("CONFIG_INVALID", `${field}: expected ${expected}, got ${got}`, { field, expected, got });
}
