/** delta(epsilon) of the Gaussian mechanism, exactly: Balle and Wang 2018, Theorem 8. */

/** @param noise standard deviation over sensitivity; over the root of the number of compositions, for several */
function gaussianDelta(noise: number, epsilon: number): number {
  return normal(1 / (2 * noise) - epsilon * noise) - Math.exp(epsilon) * normal(-1 / (2 * noise) - epsilon * noise);
}

export function gaussianEpsilon(noise: number, delta: number): number {
  let [low, high] = [0, 1000];
  if (gaussianDelta(noise, 0) <= delta) return 0;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (gaussianDelta(noise, middle) > delta) low = middle;
    else high = middle;
  }
  return high;
}

/** P(N(0, 1) <= x), relative to about 1e-13: the continued fraction of Mills' ratio, or the series around 0. */
function normal(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < -3) {
    let ratio = 0;
    for (let k = 200; k >= 1; k--) ratio = k / (-x + ratio);
    return density / (-x + ratio);
  }
  if (x > 3) return 1 - normal(-x);
  let [term, sum] = [x, x];
  for (let k = 1; k < 200; k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + density * sum;
}
