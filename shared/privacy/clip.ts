/** Clipping an update to an L2 norm (McMahan et al. 2018, "Learning differentially private recurrent language models"). */

/** L2 norm, summed in float64 in a fixed order; NaN or Infinity when any value is. */
export function l2Norm(values: Float32Array): number {
  // Four sums side by side: one would have to wait for each addition.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = values.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    const v = values[i] as number;
    const w = values[i + 1] as number;
    const x = values[i + 2] as number;
    const y = values[i + 3] as number;
    a += v * v;
    b += w * w;
    c += x * x;
    d += y * y;
  }
  for (let i = whole; i < values.length; i++) a += (values[i] as number) ** 2;
  return Math.sqrt(a + b + (c + d));
}

/** What to multiply a vector of this norm by so that it is not longer than `clipNorm`; null clips nothing. */
export function clipFactor(norm: number, clipNorm: number | null): number {
  return clipNorm === null || norm <= clipNorm ? 1 : clipNorm / norm;
}
