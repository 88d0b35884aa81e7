/**
 * Gaussian noise in floating point for DP-SGD (Marsaglia's polar method). It is added to values that stay at the site for
 * many more steps, so the gaps between floats that discrete noise closes (Mironov 2012) are not visible outside.
 */
import type { SecureNumbers } from "./secure-numbers.ts";

/** Adds N(0, stddev^2) to every value, in place. */
export function addGaussian(numbers: SecureNumbers, values: Float32Array, stddev: number): void {
  for (let i = 0; i < values.length; i += 2) {
    let [u, v, square] = [0, 0, 0];
    do {
      u = 2 * numbers.open() - 1;
      v = 2 * numbers.open() - 1;
      square = u * u + v * v;
    } while (square >= 1);
    const factor = stddev * Math.sqrt((-2 * Math.log(square)) / square);
    values[i] = (values[i] as number) + u * factor;
    if (i + 1 < values.length) values[i + 1] = (values[i + 1] as number) + v * factor;
  }
}

/** A Poisson sample of 0 … count - 1: each of them with this probability, independently. */
export function poissonSample(numbers: SecureNumbers, count: number, rate: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter(() => numbers.open() < rate);
}
