/** Clipping an update to an L2 norm (McMahan et al. 2018, "Learning differentially private recurrent language models"). */

/** L2 norm, summed in float64 in a fixed order; NaN or Infinity when any value is. */
export function l2Norm(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    sum += value * value;
  }
  return Math.sqrt(sum);
}

/** What to multiply a vector of this norm by so that it is not longer than `clipNorm`; null clips nothing. */
export function clipFactor(norm: number, clipNorm: number | null): number {
  return clipNorm === null || norm <= clipNorm ? 1 : clipNorm / norm;
}
