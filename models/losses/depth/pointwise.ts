/**
 * L1, L2, and the scale-invariant error (Eigen et al. 2014, eq. 4, lambda 0.5). The last is of logarithms, which
 * normalised metric depth is; on relative depth it forgives half of a shift.
 */
import type { DepthLoss, DepthMaps } from "./map.ts";

const LAMBDA = 0.5;

/** Mean over readings of |error|. */
export const l1: DepthLoss = (maps) => {
  const sums = errorSums(maps);
  if (sums === null) return null;
  const { errors, total } = sums;
  let value = 0;
  for (let i = 0; i < errors.length; i++) {
    const error = errors[i] as number;
    const share = error === 0 ? 0 : (maps.weight[i] as number) / total;
    value += share * Math.abs(error);
    errors[i] = share * Math.sign(error);
  }
  return { value, gradient: errors };
};

/** Mean over readings of error^2. */
export const l2: DepthLoss = (maps) => {
  const sums = errorSums(maps);
  if (sums === null) return null;
  const { errors, total } = sums;
  let value = 0;
  for (let i = 0; i < errors.length; i++) {
    const error = errors[i] as number;
    const share = error === 0 ? 0 : (maps.weight[i] as number) / total;
    value += share * error * error;
    errors[i] = 2 * share * error;
  }
  return { value, gradient: errors };
};

/** mean(d^2) - lambda mean(d)^2 for the error d. */
export const scaleInvariant: DepthLoss = (maps) => {
  const sums = errorSums(maps);
  if (sums === null) return null;
  const { errors, total } = sums;
  let squares = 0;
  let mean = 0;
  for (let i = 0; i < errors.length; i++) {
    const error = errors[i] as number;
    if (error === 0) continue;
    const share = (maps.weight[i] as number) / total;
    squares += share * error * error;
    mean += share * error;
  }
  for (let i = 0; i < errors.length; i++) {
    const share = (maps.weight[i] as number) / total;
    errors[i] = share > 0 ? 2 * share * ((errors[i] as number) - LAMBDA * mean) : 0;
  }
  return { value: squares - LAMBDA * mean * mean, gradient: errors };
};

/** Prediction less truth, 0 where there is no reading, and the sum of weights; null when that is 0. */
function errorSums({ prediction, target, weight }: DepthMaps): { errors: Float64Array; total: number } | null {
  const errors = new Float64Array(prediction.length);
  let total = 0;
  for (let i = 0; i < errors.length; i++) {
    const share = weight[i] as number;
    if (!(share > 0)) continue;
    total += share;
    errors[i] = (prediction[i] as number) - (target[i] as number);
  }
  return total === 0 ? null : { errors, total };
}
