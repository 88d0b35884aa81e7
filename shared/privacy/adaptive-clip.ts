/**
 * Adaptive clipping: the norm C to which updates are clipped follows a quantile of their norms (Andrew, Thakkar, McMahan,
 * Ramaswamy 2021, "Differentially private learning with adaptive clipping", Algorithm 1). With its update every client
 * sends a bit, whether it was no longer than C, as +1/2 or -1/2, and the noisy share of such bits moves C.
 *
 * Here the bit is one more coordinate of the integer vector: it gets a part of the norm that the noise is made for, and
 * the update the rest, so that both together cost what one vector of that norm costs. The noise is relative to the norm,
 * so this is the paper's z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2) (Theorem 1).
 */
import type { FederationConfig } from "../config/federation.ts";
import { invalidField } from "../config/parse.ts";
import type { AdaptiveClip } from "../config/privacy.ts";

/** Null where the norm is fixed, or no whole site is protected. */
export function adaptiveClip(privacy: FederationConfig["privacy"]): AdaptiveClip | null {
  return privacy.unit === "client" && typeof privacy.clipNorm === "object" ? privacy.clipNorm.adaptive : null;
}

/** The clipping norm of a round after rounds that left `held`; the first one has none. */
export function clipOfRound(adaptive: AdaptiveClip, held: number | undefined): number {
  return within(adaptive, held ?? adaptive.from);
}

/** The clipping norm of the first round, or of all where it is fixed. */
export function firstClip(privacy: Extract<FederationConfig["privacy"], { unit: "client" }>): number {
  return typeof privacy.clipNorm === "object" ? privacy.clipNorm.adaptive.from : privacy.clipNorm;
}

/** The longest update that any round lets through. */
export function longestClip(privacy: Extract<FederationConfig["privacy"], { unit: "client" }>): number {
  return typeof privacy.clipNorm === "object" ? privacy.clipNorm.adaptive.max : privacy.clipNorm;
}

/** The next round's norm. `share`: of updates that were no longer than `clipNorm`, with noise: it may lie outside [0, 1]. */
export function nextClip(adaptive: AdaptiveClip, clipNorm: number, share: number): number {
  return within(adaptive, clipNorm * Math.exp(-adaptive.rate * (share - adaptive.quantile)));
}

function within({ min, max }: AdaptiveClip, clipNorm: number): number {
  return Math.min(max, Math.max(min, clipNorm));
}

/** Of the cohort: more noise than that on the count moves the norm at random. */
const NOISE_OF_COHORT = 1 / 20;
/** Of what a round costs: the bit takes no more unless it must. */
const BIT_SHARE = 0.1;

/**
 * sigma_b, the standard deviation of the noise on the sum of the bits, where the configuration leaves it open: a twentieth
 * of the cohort as in the paper, but more where that would cost the update more than a tenth of the budget.
 */
export function bitNoiseOf(adaptive: AdaptiveClip, noiseMultiplier: number, clients: number): number {
  return adaptive.bitNoise ?? Math.max(clients * NOISE_OF_COHORT, noiseMultiplier / (2 * Math.sqrt(BIT_SHARE)));
}

/** What update and bit get of the norm that the noise is made for. */
export interface ClipSplit {
  /** Largest norm of the update's integers. */
  readonly update: number;
  /** What the bit is sent as, plus or minus. */
  readonly bit: number;
}

/** update^2 + bit^2 <= sensitivity^2, in integers. Throws CONFIG_INVALID where no part is left for one of them. */
export function splitSensitivity(sensitivity: number, noiseMultiplier: number, bitNoise: number): ClipSplit {
  const bit = Math.floor((noiseMultiplier * sensitivity) / (2 * bitNoise));
  // The squares may be larger than float64 counts exactly.
  const update = Math.floor(Math.sqrt(Math.max(0, (sensitivity - bit) * (sensitivity + bit))) * (1 - 2 ** -50));
  if (bit >= 1 && update >= 1) return { update, bit };
  const limit = noiseMultiplier / 2;
  const expected = bit < 1 ? `at most ${limit * sensitivity}` : `more than ${limit}, half of the noise multiplier`;
  throw invalidField("privacy.clipNorm.adaptive.bitNoise", expected, bitNoise);
}
