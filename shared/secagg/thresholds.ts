/**
 * Thresholds of secret sharing on the complete graph (Bonawitz et al. 2017, section 6.2), from the advertised
 * roster of n clients. Against a malicious coordinator that controls c clients an honest client is safe
 * while 2t > n + c.
 */
import { CodedError } from "../errors.ts";

export type SecureMode = "malicious" | "semi-honest";

/** Smallest survivors' minimum that a configuration may ask for. */
export const LEAST_SURVIVORS = 3;
/** The complete graph is used up to this cohort. */
const COMPLETE_GRAPH_MAX = 64;

export interface Thresholds {
  /** Shares that give back a self-mask seed b, out of n (the client holds one of its own). */
  readonly selfMask: number;
  /** Shares that give back a mask key s, out of n - 1. */
  readonly maskKey: number;
}

export function thresholds(rosterSize: number, mode: SecureMode): Thresholds {
  const selfMask = Math.floor(mode === "malicious" ? (2 * rosterSize) / 3 : rosterSize / 2) + 1;
  return { selfMask, maskKey: Math.min(selfMask, rosterSize - 1) };
}

/** Survivors without whom an attempt cannot end. */
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
  if (cohort.max > COMPLETE_GRAPH_MAX) {
    throw invalid("schedule.cohort.max", `at most ${COMPLETE_GRAPH_MAX} with secure aggregation`, cohort.max);
  }
  if (cohort.max < cohort.min) throw invalid("schedule.cohort.max", `at least cohort.min (${cohort.min})`, cohort.max);
  const tolerated = toleratedDropouts(cohort.min, mode, minSurvivors);
  if (tolerated < 0) throw invalid("schedule.cohort.min", `at least minSurvivors (${minSurvivors})`, cohort.min);
  return tolerated;
}

function invalid(field: string, expected: string, got: number): CodedError {
  return new CodedError("CONFIG_INVALID", `${field}: expected ${expected}, got ${got}`, { field, expected, got });
}
