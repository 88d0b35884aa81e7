/**
 * Rényi differential privacy (Mironov 2017): divergences of order alpha, which add up over a composition, and what
 * epsilon they give at a delta.
 */

/** Orders at which divergences are followed: those of Google's dp-accounting. */
export const ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => 1 + (i + 1) / 10),
  ...Array.from({ length: 53 }, (_, i) => 11 + i),
  128,
  256,
  512,
  1024,
];

/**
 * Of the Gaussian mechanism on a Poisson sample (Mironov, Talwar, Zhang 2019, section 3.3): whoever adds or removes one
 * example sees D_alpha((1 - q) N(0, z^2) + q N(1, z^2) || N(0, z^2)) at most.
 *
 * @param rate q, the probability of every example to be in the sample
 * @param noiseMultiplier z, the noise's standard deviation over the sensitivity
 */
export function sampledGaussianRenyi(rate: number, noiseMultiplier: number, order: number): number {
  if (rate === 0) return 0;
  if (noiseMultiplier === 0) return Number.POSITIVE_INFINITY;
  if (rate === 1) return order / (2 * noiseMultiplier ** 2);
  // Of no use to anybody, and slow: the integer orders say how large it is.
  if (noiseMultiplier < 0.2 && !Number.isInteger(order)) return Number.POSITIVE_INFINITY;
  const log = Number.isInteger(order)
    ? logMomentByBinomial(rate, noiseMultiplier, order)
    : logMomentByQuadrature(rate, noiseMultiplier, order);
  return Math.max(0, log / (order - 1));
}

/** A sum of discrete Gaussians: integer vectors of `clients`, each with noise N_Z(0, stddev^2) in every coordinate. */
export interface DiscreteGaussianSum {
  /** How many clients' noise is in the sum for certain; 1 for a single discrete Gaussian. */
  readonly clients: number;
  /** Of one client's noise, in steps of the integer grid. */
  readonly stddev: number;
  /** L2 norm of one client's integer vector at most. */
  readonly sensitivity: number;
  /** Coordinates. */
  readonly dimension: number;
}

/** Kairouz, Liu, Steinke 2021, Proposition 14: a sum of discrete Gaussians is not quite a discrete Gaussian, by tau. */
export function discreteGaussianSumRenyi(sum: DiscreteGaussianSum, order: number): number {
  const { clients, stddev, sensitivity, dimension } = sum;
  const scale = sensitivity / (Math.sqrt(clients) * stddev);
  let tau = 0;
  for (let k = 1; k < clients; k++) tau += Math.exp(-2 * (Math.PI * stddev) ** 2 * (k / (k + 1)));
  tau *= 10;
  return Math.min((order / 2) * scale ** 2 + tau * dimension, (order / 2) * (scale + Math.sqrt(dimension) * tau) ** 2);
}

/**
 * The least epsilon that the divergences give (Canonne, Kamath, Steinke 2020, Proposition 12).
 *
 * @param divergences at {@link ORDERS}
 */
export function epsilonOfRenyi(divergences: readonly number[], delta: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const [i, order] of ORDERS.entries()) {
    const divergence = divergences[i] as number;
    // The total variation distance is at most sqrt(1 - exp(-KL)) (Bretagnolle and Huber 1979).
    if (delta ** 2 + Math.expm1(-divergence) > 0) return 0;
    const epsilon = divergence + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);
    least = Math.min(least, epsilon);
  }
  return Math.max(0, least);
}

/** log E_{x ~ N(0, z^2)} (1 - q + q e^((2 x - 1) / (2 z^2)))^alpha for an integer alpha. */
function logMomentByBinomial(q: number, z: number, alpha: number): number {
  let total = Number.NEGATIVE_INFINITY;
  let logChoices = 0;
  for (let k = 0; k <= alpha; k++) {
    const term = logChoices + k * Math.log(q) + (alpha - k) * Math.log1p(-q) + (k * k - k) / (2 * z * z);
    total = logAdd(total, term);
    logChoices += Math.log(alpha - k) - Math.log(k + 1);
  }
  return total;
}

/** The same for any alpha, by the trapezoidal rule, which converges exponentially for such bells. */
function logMomentByQuadrature(q: number, z: number, alpha: number): number {
  const [from, to] = [-14 * z, alpha + 14 * z];
  // Its error is e^(-2 pi d / step) for the nearest singularity, pi z^2 off the line, and e^(-2 (pi z / step)^2) of the bell.
  const step = Math.min(z / 2, (z * z) / 4);
  const norm = Math.log(step / (z * Math.sqrt(2 * Math.PI)));
  let total = Number.NEGATIVE_INFINITY;
  for (let x = from; x <= to; x += step) {
    const ratio = logAdd(Math.log1p(-q), Math.log(q) + (2 * x - 1) / (2 * z * z));
    total = logAdd(total, norm - (x * x) / (2 * z * z) + alpha * ratio);
  }
  return total;
}

function logAdd(a: number, b: number): number {
  const [low, high] = a < b ? [a, b] : [b, a];
  return low === Number.NEGATIVE_INFINITY ? high : high + Math.log1p(Math.exp(low - high));
}
