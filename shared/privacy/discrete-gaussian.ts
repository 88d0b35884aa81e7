/**
 * Exact samples of the discrete Gaussian, P(x) proportional to e^(-x^2 / (2 sigma^2)) on the integers, by rejection from
 * the discrete Laplace distribution: Canonne, Kamath, Steinke 2020, Algorithms 2 and 3.
 *
 * "True with probability e^-gamma" for a rational gamma is decided by 48 random bits against a float64 of e^-gamma; only
 * where these are too close to tell, about once in 2^30 draws, by more bits against e^-gamma in integer arithmetic.
 */
import { DRAW_BITS, type SecureNumbers } from "./secure-numbers.ts";

/** How close to e^-gamma, relative to 1, float64 may be wrong: far above its error for gamma < 700, 2^-48 included. */
const DOUBT = 2 ** -30;
/** Bits of the integer arithmetic. */
const EXACT_BITS = 320;

export interface DiscreteGaussianOptions {
  /** See {@link DOUBT}; tests make everything doubtful. */
  readonly doubt?: number;
}

/** @param sigma positive integer, at most 2^40 */
export function discreteGaussian(
  numbers: SecureNumbers,
  sigma: number,
  { doubt = DOUBT }: DiscreteGaussianOptions = {},
): () => number {
  if (!Number.isSafeInteger(sigma) || sigma < 1 || sigma > 2 ** 40) throw new Error(`sigma is ${sigma}`);
  const scale = sigma + 1;
  const centre = (sigma * sigma) / scale;
  return () => {
    for (;;) {
      const value = discreteLaplace(numbers, scale, doubt);
      const distance = Math.abs(value) - centre;
      const gamma = (distance * distance) / (2 * sigma * sigma);
      const rational = () => {
        const [s, t] = [BigInt(sigma), BigInt(scale)];
        const far = BigInt(Math.abs(value)) * t - s * s;
        return [far * far, 2n * s * s * t * t] as const;
      };
      if (happens(numbers, gamma, rational, doubt)) return value;
    }
  };
}

/** P(x) proportional to e^(-|x| / scale). */
function discreteLaplace(numbers: SecureNumbers, scale: number, doubt: number): number {
  for (;;) {
    const fine = numbers.below(scale);
    if (!happens(numbers, fine / scale, () => [BigInt(fine), BigInt(scale)], doubt)) continue;
    let coarse = 0;
    while (happens(numbers, 1, () => [1n, 1n], doubt)) coarse++;
    const size = fine + scale * coarse;
    const negative = numbers.below(2) === 1;
    if (negative && size === 0) continue;
    return negative ? -size : size;
  }
}

/** True with probability e^-gamma; `rational` is gamma as a fraction. */
function happens(
  numbers: SecureNumbers,
  gamma: number,
  rational: () => readonly [bigint, bigint],
  doubt: number,
): boolean {
  const drawn = numbers.draw();
  const distance = Math.exp(-gamma) - drawn / 2 ** DRAW_BITS;
  if (distance > doubt) return true;
  if (distance < -doubt) return false;
  return exactly(numbers, drawn, rational());
}

/** The same decision, with the draw continued to {@link EXACT_BITS} bits. */
function exactly(numbers: SecureNumbers, drawn: number, [numerator, denominator]: readonly [bigint, bigint]): boolean {
  let bits = BigInt(drawn);
  for (let known = DRAW_BITS; known < EXACT_BITS; known += DRAW_BITS) {
    bits = (bits << BigInt(DRAW_BITS)) | BigInt(numbers.draw());
  }
  const length = BigInt(Math.ceil(EXACT_BITS / DRAW_BITS) * DRAW_BITS);
  return bits < exponential(numerator, denominator, length);
}

/** floor of e^(-numerator / denominator) 2^bits, but for the last few bits. */
function exponential(numerator: bigint, denominator: bigint, bits: bigint): bigint {
  // e^-x = (e^(-x / 2^h))^(2^h), so that the series is short.
  const halvings = BigInt((numerator / denominator).toString(2).length);
  const guard = bits + 64n + 2n * halvings;
  const one = 1n << guard;
  const x = (numerator << guard) / (denominator << halvings);
  let [term, sum] = [one, one];
  for (let k = 1n; term !== 0n; k++) {
    term = -((term * x) >> guard) / k;
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> guard;
  return sum >> (guard - bits);
}
