/**
 * The noisy mechanisms there are, what they cost together, and how much noise a budget asks for. A cost is always that
 * of the unit protected: of one example (a site's picture) or of one client (a whole site).
 */
import { composedEpsilon } from "./accountant/compose.ts";
import {
  discreteGaussianSumRenyi,
  epsilonOfRenyi,
  ORDERS,
  sampledGaussianRenyi,
  type DiscreteGaussianSum,
} from "./accountant/renyi.ts";

/** Steps of DP-SGD: Gaussian noise on a secret Poisson sample. */
interface SampledSteps {
  readonly kind: "sampled-gaussian";
  /** Probability of every example to be in a step's sample. */
  readonly rate: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
}

/** One sum of integer vectors, each with discrete Gaussian noise of its own. */
interface NoisySum extends DiscreteGaussianSum {
  readonly kind: "discrete-gaussian-sum";
}

export type Mechanism = SampledSteps | NoisySum;

/** A mechanism that was used several times. */
export interface Use {
  readonly mechanism: Mechanism;
  readonly times: number;
}

/**
 * The least epsilon at `delta` that is known for all of these together; 0 for none. Sampled Gaussians alone by their
 * privacy loss distribution, all others by Rényi divergences.
 */
export function epsilonOf(uses: readonly Use[], delta: number): number {
  const sampled = uses.flatMap(({ mechanism, times }) =>
    mechanism.kind === "sampled-gaussian" ? [{ mechanism, times: times * mechanism.steps }] : [],
  );
  return sampled.length === uses.length ? composedEpsilon(sampled, delta) : renyiEpsilon(uses, delta);
}

/** The same by Rényi divergences alone: never less, and quick. */
function renyiEpsilon(uses: readonly Use[], delta: number): number {
  if (uses.every(({ times }) => times === 0)) return 0;
  const divergences = ORDERS.map((order) =>
    uses.reduce((sum, { mechanism, times }) => sum + (times === 0 ? 0 : times * renyiOf(mechanism, order)), 0),
  );
  return epsilonOfRenyi(divergences, delta);
}

function renyiOf(mechanism: Mechanism, order: number): number {
  if (mechanism.kind === "discrete-gaussian-sum") return discreteGaussianSumRenyi(mechanism, order);
  const { rate, noiseMultiplier, steps } = mechanism;
  return steps * sampledGaussianRenyi(rate, noiseMultiplier, order);
}

/** Noise multipliers are looked for in thousandths, from 0.05 to a million. */
const GRAIN = 1e-3;
const [LEAST, MOST] = [50, 1e9];

/**
 * The least noise multiplier, in thousandths, with which `uses` cost at most `epsilon`; null where none is enough. `uses`
 * must cost less with more noise.
 */
export function leastNoise(
  uses: (noiseMultiplier: number) => readonly Use[],
  epsilon: number,
  delta: number,
): number | null {
  const cost = (of: typeof epsilonOf) => (thousandths: number) => of(uses(thousandths * GRAIN), delta) <= epsilon;
  // The quick bound asks for a little too much: what is enough lies below it.
  const enough = leastOf(cost(renyiEpsilon), LEAST, MOST);
  if (enough === null) return null;
  const least = leastOf(cost(epsilonOf), Math.max(LEAST, Math.floor(enough * 0.6)), enough);
  return least === null ? null : Number((least * GRAIN).toFixed(3));
}

/** The least integer in [from, to] that is enough, where all above one that is are, too; null: not even `to` is. */
function leastOf(enough: (value: number) => boolean, from: number, to: number): number | null {
  if (enough(from)) return from;
  let [low, high] = [from, Math.min(to, from * 2)];
  while (!enough(high)) {
    if (high >= to) return null;
    [low, high] = [high, Math.min(to, high * 2)];
  }
  while (low + 1 < high) {
    // In the middle of their logarithms while they are far apart.
    const middle = Math.max(low + 1, Math.floor(high > 1.2 * low ? Math.sqrt(low * high) : (low + high) / 2));
    if (enough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** How often `mechanism` can be used after `spent` before `epsilon` is exceeded; at most `limit`. */
export function affordableTimes(
  mechanism: Mechanism,
  spent: readonly Use[],
  { epsilon, delta }: { readonly epsilon: number; readonly delta: number },
  limit: number,
): number {
  const tooMany = (times: number) => epsilonOf([...spent, { mechanism, times }], delta) > epsilon;
  return (leastOf(tooMany, 1, limit) ?? limit + 1) - 1;
}
