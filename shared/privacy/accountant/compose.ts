/**
 * Compositions of privacy losses: sums of independent ones, whose distribution is a product of Fourier transforms (Koskela
 * et al. 2020). What lies outside the window of the transform is bounded by Chernoff's inequality and counted as an
 * infinite loss.
 */
import { multiply, raise, transform, type Spectrum } from "./fourier.ts";
import {
  lossDeviation,
  lossDistribution,
  type Direction,
  type LossDistribution,
  type SampledGaussian,
} from "./loss-distribution.ts";

// By name: looked up on the global object they are ten times slower inside a `vm` context.
const { ceil, exp, floor, log, max, min } = Math;

/** A mechanism that is run several times. */
export interface Repeated {
  readonly mechanism: SampledGaussian;
  readonly times: number;
}

/** Probability that truncation may cost in all: far below any delta in use. */
const TRUNCATED = 1e-14;
/** Grid points in one standard deviation of a single loss. */
const POINTS = 16;
const LARGEST_WINDOW = 2 ** 21;

/** The least epsilon at `delta`, in [1e-10, 1), of all of them together. */
export function composedEpsilon(repeated: readonly Repeated[], delta: number): number {
  const runs = repeated.filter(({ mechanism, times }) => times > 0 && mechanism.rate > 0);
  if (runs.length === 0) return 0;
  if (runs.some(({ mechanism }) => mechanism.noiseMultiplier === 0)) return Number.POSITIVE_INFINITY;
  return max(...(["remove", "add"] as const).map((direction) => epsilonOf(runs, direction, delta)));
}

function epsilonOf(runs: readonly Repeated[], direction: Direction, delta: number): number {
  const total = runs.reduce((sum, { times }) => sum + times, 0);
  let step = min(...runs.map(({ mechanism }) => lossDeviation(mechanism, direction) / POINTS));
  for (;;) {
    const parts = runs.map(({ mechanism, times }) => ({
      losses: lossDistribution(mechanism, direction, step, TRUNCATED / total),
      times,
    }));
    const window = windowOf(parts);
    const points = (window.to - window.from) / step + 2;
    if (points <= LARGEST_WINDOW) return leastEpsilon(compose(parts, window, step), delta);
    step *= max(2, points / LARGEST_WINDOW);
  }
}

interface Part {
  readonly losses: LossDistribution;
  readonly times: number;
}

interface Window {
  readonly from: number;
  readonly to: number;
}

/** Where the sum lies but for a probability of {@link TRUNCATED} on either side. */
function windowOf(parts: readonly Part[]): Window {
  const bound = (sign: 1 | -1): number => {
    let least = Number.POSITIVE_INFINITY;
    for (let power = -24; power <= 20; power++) {
      const s = 2 ** (power / 2);
      const moment = parts.reduce((sum, part) => sum + part.times * logMoment(part.losses, sign * s), 0);
      least = min(least, (moment - log(TRUNCATED)) / s);
    }
    return least;
  };
  return { from: -bound(-1), to: bound(1) };
}

/** log E e^(s loss) of the finite losses. */
function logMoment({ step, first, masses }: LossDistribution, s: number): number {
  const exponent = (i: number) => s * (first + i) * step;
  const largest = max(exponent(0), exponent(masses.length - 1));
  let total = 0;
  for (let i = 0; i < masses.length; i++) total += (masses[i] as number) * exp(exponent(i) - largest);
  return largest + log(total);
}

function compose(parts: readonly Part[], { from, to }: Window, step: number): LossDistribution {
  const first = floor(from / step);
  let size = 1;
  while (size < ceil(to / step) - first + 1) size *= 2;
  let product: Spectrum | null = null;
  let finite = 1;
  for (const { losses, times } of parts) {
    const spectrum = { real: new Float64Array(size), imaginary: new Float64Array(size) };
    for (const [i, mass] of losses.masses.entries()) {
      const at = modulo(losses.first + i, size);
      spectrum.real[at] = (spectrum.real[at] as number) + mass;
    }
    transform(spectrum);
    raise(spectrum, times);
    if (product === null) product = spectrum;
    else multiply(product, spectrum);
    finite *= (1 - losses.infinite) ** times;
  }
  const whole = product as Spectrum;
  transform(whole, true);
  const masses = new Float64Array(size);
  for (let i = 0; i < size; i++) masses[i] = max(0, whole.real[modulo(first + i, size)] as number);
  return { step, first, masses, infinite: 1 - finite + TRUNCATED };
}

/** The least epsilon >= 0 with delta(epsilon) = sum over larger losses l of p(l) (1 - e^(epsilon - l)) + p(infinity) <= delta. */
function leastEpsilon({ step, first, masses, infinite }: LossDistribution, delta: number): number {
  if (infinite > delta) return Number.POSITIVE_INFINITY;
  let above = infinite;
  // Sum of p(l) e^(loss - l) over the losses l passed so far.
  let weighted = 0;
  for (let i = masses.length - 1; i >= 0; i--) {
    const loss = (first + i) * step;
    above += masses[i] as number;
    weighted = weighted * exp(-step) + (masses[i] as number);
    if (above - weighted * exp(-step) < delta) continue;
    return max(0, loss + log((above - delta) / weighted));
  }
  return 0;
}

function modulo(value: number, size: number): number {
  return ((value % size) + size) % size;
}
