/**
 * Losses of differences between neighbouring cells.
 *
 * `smoothness`: of the inverse depth, divided by its mean where depth is metric, let go at the picture's edges (Godard
 * et al. 2017, eq. 3; the division as in Yin and Shi 2018). Relative depth has no inverse: it is smoothed as it is.
 * `edgeAware`: ln(|difference of the error| / alpha + 1), which punishes blurred and shifted depth edges (Hu et al.
 * 2019, L_grad, shifted to be 0 where nothing is wrong).
 * `edgeGuided`: 0.85 SSIM + 0.1 L1 + 0.9 smoothness, the usual sum for a depth map guided by the picture's edges.
 */
import { add, type DepthLoss, type DepthMaps, type DepthTerm, neighbours } from "./map.ts";
import { l1 } from "./pointwise.ts";
import { ssim } from "./ssim.ts";

const ALPHA = 0.5;
const SSIM_SHARE = 0.85;
const L1_SHARE = 0.1;
const SMOOTHNESS_SHARE = 0.9;

/** exp(-mean over the colours of |difference|): 1 inside surfaces, less at edges. */
function edgeWeight(picture: ArrayLike<number> | null, from: number, to: number): number {
  if (picture === null) return 1;
  let change = 0;
  for (let c = 0; c < 3; c++) change += Math.abs((picture[to * 3 + c] as number) - (picture[from * 3 + c] as number));
  return Math.exp(-change / 3);
}

export const smoothness: DepthLoss = (maps) => {
  const { prediction, weight, picture, metric } = maps;
  const inverse = Float64Array.from({ length: prediction.length }, (_, i) =>
    metric ? Math.exp(-(prediction[i] as number)) : (prediction[i] as number),
  );
  let mean = 1;
  let count = 0;
  if (metric) {
    mean = 0;
    for (let i = 0; i < inverse.length; i++) {
      if (!((weight[i] as number) > 0)) continue;
      mean += inverse[i] as number;
      count++;
    }
    mean /= Math.max(1, count);
  }
  const byInverse = new Float64Array(prediction.length);
  let value = 0;
  let pairs = 0;
  neighbours(maps, 1, (from, to) => {
    const change = ((inverse[to] as number) - (inverse[from] as number)) / mean;
    const share = edgeWeight(picture, from, to);
    pairs++;
    value += share * Math.abs(change);
    add(byInverse, to, (share * Math.sign(change)) / mean);
    add(byInverse, from, (-share * Math.sign(change)) / mean);
  });
  if (pairs === 0) return null;
  value /= pairs;
  return {
    value,
    gradient: byInverse.map((by, i) => {
      if (!((weight[i] as number) > 0)) return 0;
      // The mean's own part: value is inversely proportional to it.
      return metric ? -(inverse[i] as number) * (by / pairs - value / mean / count) : by / pairs;
    }),
  };
};

export const edgeAware: DepthLoss = (maps) => {
  const { prediction, target } = maps;
  const error = (i: number) => (prediction[i] as number) - (target[i] as number);
  const gradient = new Float64Array(prediction.length);
  let value = 0;
  let pairs = 0;
  neighbours(maps, 1, (from, to) => {
    const change = error(to) - error(from);
    pairs++;
    value += Math.log1p(Math.abs(change) / ALPHA);
    const by = Math.sign(change) / (Math.abs(change) + ALPHA);
    add(gradient, to, by);
    add(gradient, from, -by);
  });
  return pairs === 0 ? null : { value: value / pairs, gradient: gradient.map((by) => by / pairs) };
};

export const edgeGuided: DepthLoss = (maps) =>
  weighted(maps, [
    [ssim, SSIM_SHARE],
    [l1, L1_SHARE],
    [smoothness, SMOOTHNESS_SHARE],
  ]);

/** The weighted sum of the losses that have enough readings. */
function weighted(maps: DepthMaps, parts: readonly (readonly [DepthLoss, number])[]): DepthTerm | null {
  const gradient = new Float64Array(maps.prediction.length);
  let value = 0;
  let counted = 0;
  for (const [loss, share] of parts) {
    const term = loss(maps);
    if (term === null) continue;
    counted++;
    value += share * term.value;
    for (let i = 0; i < gradient.length; i++) add(gradient, i, share * (term.gradient[i] as number));
  }
  return counted === 0 ? null : { value, gradient };
}
