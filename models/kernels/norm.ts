/**
 * Root-mean-square normalisation over groups of channels of one sample: GroupNorm (Wu and He 2018) without the mean,
 * as RMSNorm is to LayerNorm (Zhang and Sennrich 2019). Independent of the batch, without running statistics, so
 * nothing but params is averaged across clients. docs/decisions says what it was chosen against.
 *
 * The statistics are a few hundred numbers; they are combined in JavaScript, in double precision, which is quicker
 * than a dozen tiny kernels.
 */
import * as tf from "../engine/tf.ts";
import { differentiable, type Keep, type Pass } from "./differentiable.ts";
import { exampleGradients } from "./examples.ts";
import { kernels } from "./loaded.ts";

const EPSILON = 1e-5;

/**
 * y[b,...,c] = x[b,...,c] * scale[c] / rms(x over all positions of sample b and the channels of c's group).
 *
 * @param x [B, H, W, C] or [B, T, C]; `groups` divides C
 * @param scale [C]
 */
export function rmsGroupNorm<T extends tf.Tensor>(x: T, scale: tf.Tensor1D, groups: number): T {
  return differentiable([x, scale], (keep) => groupNormPass(keep, x, scale, groups)) as T;
}

/**
 * RMSNorm along the last axis: y[p, c] = x[p, c] * scale[c] / rms(x[p, :]).
 *
 * @param x [P, C]
 */
export function rmsNorm(x: tf.Tensor2D, scale: tf.Tensor1D): tf.Tensor2D {
  return differentiable([x, scale], (keep) => tokenNormPass(keep, x, scale)) as tf.Tensor2D;
}

/** The gradients of x and scale; `plus` is what another way from y to x adds to the first. */
interface NormPass extends Pass {
  back(dy: tf.Tensor, plus?: tf.Tensor): [tf.Tensor, tf.Tensor];
}

/** As {@link rmsGroupNorm}. */
export function groupNormPass(keep: Keep, x: tf.Tensor, scale: tf.Tensor, groups: number): NormPass {
  const k = kernels();
  const batch = x.shape[0] as number;
  const channels = x.shape.at(-1) as number;
  const perGroup = channels / groups;
  const count = (perGroup * x.size) / (batch * channels);
  const squares = k.sumSquares(x);
  const gain = scale.dataSync();
  const inverse = new Float64Array(batch * groups);
  const factors = new Float32Array(batch * channels);
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < groups; g++) {
      const start = b * channels + g * perGroup;
      let sum = 0;
      for (let c = start; c < start + perGroup; c++) sum += squares[c] as number;
      const r = 1 / Math.sqrt(sum / count + EPSILON);
      inverse[b * groups + g] = r;
      for (let c = start; c < start + perGroup; c++) factors[c] = (gain[c - b * channels] as number) * r;
    }
  }
  const kept = keep(x);
  return {
    y: k.scaleChannels(x, factors),
    back(dy, plus) {
      const product = k.sumProducts(dy, kept());
      const apart = exampleGradients();
      const scaleGradient = new Float32Array(apart === null ? channels : batch * channels);
      const corrections = new Float32Array(batch * channels);
      for (let b = 0; b < batch; b++) {
        for (let g = 0; g < groups; g++) {
          const r = inverse[b * groups + g] as number;
          const start = b * channels + g * perGroup;
          let weighted = 0;
          for (let c = start; c < start + perGroup; c++) {
            const channel = c - b * channels;
            const value = product[c] as number;
            const at = apart === null ? channel : c;
            scaleGradient[at] = (scaleGradient[at] as number) + value * r;
            weighted += (gain[channel] as number) * value;
          }
          corrections.fill((-weighted * r * r * r) / count, start, start + perGroup);
        }
      }
      const terms = [k.scaleChannels(dy, factors), k.scaleChannels(kept(), corrections)];
      const dScale = tf.tensor1d(scaleGradient);
      return [
        k.total(plus === undefined ? terms : [...terms, plus]),
        apart === null ? dScale : apart.add(scale, k.reshape(dScale, [batch, channels])),
      ];
    },
  };
}

/** As {@link rmsNorm}. */
export function tokenNormPass(keep: Keep, x: tf.Tensor, scale: tf.Tensor): NormPass {
  const k = kernels();
  const [tokens, channels] = x.shape as [number, number];
  const squares = k.sumSquaresLast(x);
  const inverse = new Float32Array(tokens);
  for (let p = 0; p < tokens; p++) inverse[p] = 1 / Math.sqrt((squares[p] as number) / channels + EPSILON);
  const factor = tf.tensor2d(inverse, [tokens, 1]);
  const normal = k.mul(x, factor);
  const [keptNormal, keptFactor, keptScale] = [keep(normal), keep(factor), keep(scale)];
  return {
    y: k.mul(normal, scale),
    back(dy, plus) {
      const product = k.mul(dy, keptNormal());
      // The mean of dy * scale * normal in every token.
      const projection = k.matMul(product, k.times(k.reshape(keptScale(), [channels, 1]), 1 / channels), false, false);
      const inner = k.sub(k.mul(dy, keptScale()), k.mul(keptNormal(), projection));
      const dx = k.mul(inner, keptFactor());
      const dScale = exampleGradients()?.addSum(scale, product) ?? k.biasGradient(product);
      return [plus === undefined ? dx : k.add(dx, plus), dScale];
    },
  };
}
