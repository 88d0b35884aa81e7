/** Robust aggregation as its papers write it: whole vectors, no shared distances, nothing in blocks. */

type Vector = readonly number[];

const minus = (a: Vector, b: Vector): number[] => a.map((x, k) => x - (b[k] as number));
const norm = (a: Vector): number => Math.sqrt(a.reduce((sum, x) => sum + x * x, 0));
const scaled = (a: Vector, factor: number): number[] => a.map((x) => x * factor);
const ascending = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

export function mean(xs: readonly Vector[]): number[] {
  return (xs[0] as Vector).map((_, k) => xs.reduce((sum, x) => sum + (x[k] as number), 0) / xs.length);
}

function medianOf(values: readonly number[]): number {
  const sorted = ascending(values);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return (low + (sorted[Math.ceil((sorted.length - 1) / 2)] as number)) / 2;
}

/** Blanchard et al. 2017: s(i) = sum over the n - f - 2 closest of |x_i - x_j|^2. */
function krumScore(xs: readonly Vector[], i: number, f: number): number {
  const away = xs.flatMap((x, j) => (j === i ? [] : [norm(minus(xs[i] as Vector, x)) ** 2]));
  return ascending(away)
    .slice(0, Math.max(1, xs.length - f - 2))
    .reduce((sum, d) => sum + d, 0);
}

/** Best first; the papers leave open what equal scores mean, here the shorter update is the better one. */
function byScore(xs: readonly Vector[], f: number): Vector[] {
  const order = xs.map((x, i) => ({ x, score: krumScore(xs, i, f) }));
  return order.toSorted((a, b) => a.score - b.score || norm(a.x) - norm(b.x)).map(({ x }) => x);
}

export function multiKrum(xs: readonly Vector[], f: number, keep: number): number[] {
  return mean(byScore(xs, f).slice(0, keep));
}

/** El Mhamdi et al. 2018: theta = n - 2f times Krum, then beta = theta - 2f values around the median. */
export function bulyan(xs: readonly Vector[], f: number): number[] {
  const theta = xs.length - 2 * f;
  const beta = theta - 2 * f;
  let received = [...xs];
  const selected: Vector[] = [];
  while (selected.length < theta) {
    const best = byScore(received, f)[0] as Vector;
    selected.push(best);
    received = received.filter((x) => x !== best);
  }
  return (xs[0] as Vector).map((_, k) => {
    const column = ascending(selected.map((x) => x[k] as number));
    const middle = medianOf(column);
    const closest = column.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle)).slice(0, beta);
    return closest.reduce((sum, x) => sum + x, 0) / beta;
  });
}

/** Yin et al. 2018. */
export function median(xs: readonly Vector[]): number[] {
  return (xs[0] as Vector).map((_, k) => medianOf(xs.map((x) => x[k] as number)));
}

/** Yin et al. 2018, beta = f / n. */
export function trimmedMean(xs: readonly Vector[], f: number): number[] {
  return (xs[0] as Vector).map((_, k) => {
    const rest = ascending(xs.map((x) => x[k] as number)).slice(f, xs.length - f);
    return rest.reduce((sum, x) => sum + x, 0) / rest.length;
  });
}

/** Pillutla et al. 2022, algorithm 2, with equal weights: v <- sum of beta_i x_i / sum of beta_i. */
export function geometricMedian(xs: readonly Vector[], iterations: number, smoothing: number): number[] {
  let v = mean(xs);
  for (let step = 0; step < iterations; step++) {
    const betas = xs.map((x) => 1 / Math.max(smoothing, norm(minus(v, x))));
    const total = betas.reduce((sum, beta) => sum + beta, 0);
    v = v.map((_, k) => xs.reduce((sum, x, i) => sum + (betas[i] as number) * (x[k] as number), 0) / total);
  }
  return v;
}

/** Sun et al. 2019: mean of x / max(1, |x| / norm). */
export function normClipping(xs: readonly Vector[], limit: number | null): number[] {
  const bound = limit ?? medianOf(xs.map(norm));
  return mean(xs.map((x) => scaled(x, 1 / Math.max(1, norm(x) / bound))));
}

/** Karimireddy et al. 2021, equation 3: v <- v + mean of (x - v) min(1, tau / |x - v|). */
export function centredClipping(xs: readonly Vector[], radius: number | null, iterations: number): number[] {
  let v = (xs[0] as Vector).map(() => 0);
  for (let step = 0; step < iterations; step++) {
    const away = xs.map((x) => minus(x, v));
    const tau = radius ?? medianOf(away.map(norm));
    const moved = mean(away.map((d) => scaled(d, norm(d) === 0 ? 1 : Math.min(1, tau / norm(d)))));
    v = v.map((x, k) => x + (moved[k] as number));
  }
  return v;
}
