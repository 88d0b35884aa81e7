/** Draws from the symmetric Dirichlet distribution, by gamma variates (Marsaglia, Tsang 2000). */
import type { Rng } from "../../shared/rng/rng.ts";

/** `count` shares that are positive and add up to 1; concentration `alpha` > 0. */
export function dirichlet(rng: Rng, alpha: number, count: number): number[] {
  // In logarithms: with a small alpha the variates themselves underflow to 0.
  const logs = Array.from({ length: count }, () => logGamma(rng, alpha));
  const most = Math.max(...logs);
  const draws = logs.map((log) => Math.exp(log - most));
  const sum = draws.reduce((a, b) => a + b, 0);
  return draws.map((draw) => draw / sum);
}

/** Logarithm of one draw from Gamma(shape, 1). */
function logGamma(rng: Rng, shape: number): number {
  if (shape < 1) return logGamma(rng, shape + 1) + Math.log(1 - rng.uniform()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - rng.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}
