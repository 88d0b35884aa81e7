/**
 * Rules whose result is a weighted sum of the updates, with weights that follow from distances alone. Coefficients are those
 * of the updates and, last, of the origin; they sum to 1.
 * Geometric median: Pillutla et al. 2022, "Robust Aggregation for Federated Learning" (RFA, algorithm 2). Norm clipping:
 * Sun et al. 2019, "Can You Really Backdoor Federated Learning?". Centred clipping: Karimireddy et al. 2021, "Learning from
 * History for Byzantine Robust Optimization".
 */
import type { Distances } from "./distances.ts";

/** 1/k for each of `chosen`. */
export function meanOf(chosen: readonly number[], count: number): Float64Array {
  const coefficients = new Float64Array(count + 1);
  for (const i of chosen) coefficients[i] = 1 / chosen.length;
  return coefficients;
}

/** Smoothed Weiszfeld, from the mean: weights 1 / max(smoothing, distance to where the last step came). */
export function geometricMedian(distances: Distances, iterations: number, smoothing: number): Float64Array {
  const { count } = distances;
  const coefficients = new Float64Array(count + 1).fill(1 / count, 0, count);
  for (let step = 0; step < iterations; step++) {
    const weights = distances.allTo(coefficients).map((distance) => 1 / Math.max(smoothing, distance));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    coefficients.set(weights.map((weight) => weight / sum));
  }
  return coefficients;
}

/** Each update shortened to `norm` (null: the median norm), then the mean. */
export function normClipping(distances: Distances, norm: number | null): Float64Array {
  return centredClipping(distances, norm, 1);
}

/**
 * v <- v + mean of (x_i - v) min(1, radius / |x_i - v|), from v = 0; with `radius` null the median distance of the step.
 * The paper begins where the last round ended; a delta begins at the model, whose distance is 0.
 */
export function centredClipping(distances: Distances, radius: number | null, iterations: number): Float64Array {
  const { count } = distances;
  const coefficients = new Float64Array(count + 1);
  coefficients[count] = 1;
  for (let step = 0; step < iterations; step++) {
    const away = distances.allTo(coefficients);
    const limit = radius ?? median(away);
    const factors = away.map((distance) => (distance <= limit ? 1 : limit / distance));
    const stays = 1 - factors.reduce((sum, factor) => sum + factor, 0) / count;
    for (let i = 0; i <= count; i++) {
      coefficients[i] = (coefficients[i] as number) * stays + (factors[i] ?? 0) / count;
    }
  }
  return coefficients;
}

function median(values: Float64Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
}
