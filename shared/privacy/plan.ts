/**
 * What a plan's `privacy` comes to: the mechanism of one round, its noise and its cost. Both sides derive it from the plan,
 * so that a client believes no number of the coordinator's but those in the plan.
 */
import type { FederationConfig } from "../config/federation.ts";
import type { WordBits } from "../secagg/mask.ts";
import { CodedError } from "../errors.ts";
import { adaptiveClip, bitNoiseOf, splitSensitivity, type ClipSplit } from "./adaptive-clip.ts";
import { epsilonOf, type Mechanism, type Use } from "./mechanism.ts";

/** The parts of the configuration that decide it; a training plan has all of them. */
export interface PrivacyTerms {
  readonly privacy: FederationConfig["privacy"];
  readonly training: Pick<FederationConfig["training"], "localSteps" | "localEpochs" | "batchSize">;
  readonly secureAggregation: Pick<FederationConfig["secureAggregation"], "mode" | "wordBits">;
  readonly schedule: Pick<FederationConfig["schedule"], "rounds" | "minSurvivors"> & {
    readonly cohort: Pick<FederationConfig["schedule"]["cohort"], "min" | "max">;
  };
}

/** Steps of a round where the configuration names none. */
const DEFAULT_STEPS = 20;

/** Optimizer steps of one round of a client with this many training samples. */
export function stepsPerRound(training: PrivacyTerms["training"], examples: number): number {
  if (training.localSteps !== undefined) return training.localSteps;
  if (training.localEpochs === undefined) return DEFAULT_STEPS;
  return Math.ceil((training.localEpochs * examples) / training.batchSize);
}

/** The integers of client-level privacy. */
interface NoisyGrid {
  /** Largest L2 norm of one client's integer vector, before noise: what clipNorm becomes. */
  readonly sensitivity: number;
  /** Of the noise that one client adds, or the coordinator to the sum where it is trusted. */
  readonly stddev: number;
  /** Clients whose noise is in every sum. */
  readonly clients: number;
  /** A sum's noise is beyond it with a probability below 1e-30 in any coordinate. */
  readonly tail: number;
}

/** Standard deviations: P(|x| > 12) < 4e-33. */
const TAIL = 12;
/** With less noise a sum of discrete Gaussians is not close enough to one, and integers are too coarse. */
const LEAST_STDDEV = 8;
/** Larger than any model: with that much noise the bound does not depend on it. */
const ANY_DIMENSION = 2 ** 40;

/**
 * The integers for a noise multiplier z: every client's vector has at most the norm S, and the sum of the noise of
 * `clients` of them the standard deviation z S. Sums of all clients, noise included, fit the word.
 *
 * @throws CodedError CONFIG_HEADROOM
 */
function noisyGrid(
  terms: Pick<PrivacyTerms, "privacy" | "secureAggregation" | "schedule">,
  noiseMultiplier: number,
): NoisyGrid {
  const { privacy, secureAggregation, schedule } = terms;
  const { wordBits, mode } = secureAggregation;
  const { max } = schedule.cohort;
  const colluders = privacy.unit === "client" ? privacy.colluders : 0;
  const masked = mode !== "off";
  const clients = masked ? schedule.minSurvivors - colluders : 1;
  // A trusted coordinator adds its noise to the sum, where there are no words to overflow.
  const perUnit = masked ? TAIL * noiseMultiplier * Math.sqrt(max / clients) : 0;
  const rounding = masked ? TAIL * Math.sqrt(max) : 0;
  const sensitivity = Math.floor((largestSum(wordBits) - rounding) / (max + perUnit));
  const stddev = Math.ceil((noiseMultiplier * sensitivity) / Math.sqrt(clients));
  if (sensitivity < 1 || stddev < LEAST_STDDEV) {
    throw new CodedError(
      "CONFIG_HEADROOM",
      `privacy: noise of ${stddev} steps with wordBits ${wordBits} and schedule.cohort.max ${max}, expected at least ${LEAST_STDDEV}`,
      { wordBits, cohortMax: max, expected: LEAST_STDDEV, got: stddev },
    );
  }
  return { sensitivity, stddev, clients, tail: masked ? TAIL * stddev * Math.sqrt(max) : 0 };
}

/** The integers, and what update and bit have of them: all of it is the update's where the clipping norm is fixed. */
export interface PrivateGrid extends NoisyGrid, ClipSplit {}

/** The integers of the plan's own noise. Throws CONFIG_HEADROOM, CONFIG_INVALID, POLICY_PRIVACY. */
export function privateGrid(terms: Pick<PrivacyTerms, "privacy" | "secureAggregation" | "schedule">): PrivateGrid {
  const { privacy, schedule } = terms;
  const noise = noiseNeeded(privacy);
  const grid = noisyGrid(terms, noise);
  const adaptive = adaptiveClip(privacy);
  if (adaptive === null) return { ...grid, update: grid.sensitivity, bit: 0 };
  const clients = denominatorOf(privacy, schedule);
  return { ...grid, ...splitSensitivity(grid.sensitivity, noise, bitNoiseOf(adaptive, noise, clients)) };
}

/** Sites that a noisy sum is divided by. */
export function denominatorOf(privacy: PrivacyTerms["privacy"], schedule: PrivacyTerms["schedule"]): number {
  return (privacy.unit === "client" ? privacy.denominator : undefined) ?? schedule.cohort.min;
}

function largestSum(wordBits: WordBits): number {
  return 2 ** (wordBits - 1) - 1;
}

/** The noise multiplier of the plan; null without differential privacy or before it was derived. */
export function noiseOf(privacy: PrivacyTerms["privacy"]): number | null {
  if (privacy.unit === "none") return null;
  return privacy.noiseMultiplier ?? privacy.noise ?? null;
}

/** The noise of a plan with differential privacy; a plan that names none is never worked under: POLICY_PRIVACY. */
export function noiseNeeded(privacy: PrivacyTerms["privacy"]): number {
  const noise = noiseOf(privacy);
  if (noise !== null) return noise;
  const message = `privacy.noise: the plan promises privacy of unit ${privacy.unit}, but names no noise`;
  throw new CodedError("POLICY_PRIVACY", message, { field: "privacy.noise", expected: "a number", got: null });
}

/** What one round costs whom it costs most; null without differential privacy. `noise`: instead of the plan's. */
export function roundMechanism(terms: PrivacyTerms, noise = noiseOf(terms.privacy)): Mechanism | null {
  const { privacy } = terms;
  if (privacy.unit === "none" || noise === null) return null;
  if (privacy.unit === "example") return exampleMechanism(terms, privacy.minExamples, noise);
  const { clients, stddev, sensitivity } = noisyGrid(terms, noise);
  return { kind: "discrete-gaussian-sum", clients, stddev, sensitivity, dimension: ANY_DIMENSION };
}

/** What a round of DP-SGD costs a site with this many training examples. */
export function exampleMechanism(
  { training }: Pick<PrivacyTerms, "training">,
  examples: number,
  noiseMultiplier: number,
): Mechanism {
  const rate = Math.min(1, training.batchSize / examples);
  return { kind: "sampled-gaussian", rate, noiseMultiplier, steps: stepsPerRound(training, examples) };
}

/** The cost of the scheduled rounds with this noise. */
export function plannedUses(terms: PrivacyTerms, noise: number): readonly Use[] {
  const mechanism = roundMechanism(terms, noise);
  return mechanism === null ? [] : [{ mechanism, times: terms.schedule.rounds }];
}

/** What the plan says it costs in all; null without differential privacy. */
export function plannedEpsilon(terms: PrivacyTerms): number | null {
  const { privacy } = terms;
  const noise = noiseOf(privacy);
  return privacy.unit === "none" || noise === null ? null : epsilonOf(plannedUses(terms, noise), privacy.delta);
}

/** What may be spent in all; null: no bound, as there is no differential privacy. */
export function budgetOf(privacy: PrivacyTerms["privacy"]): number | null {
  return privacy.unit === "none" ? null : (privacy.budget ?? privacy.epsilon);
}
