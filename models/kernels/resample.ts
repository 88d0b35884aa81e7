/**
 * Halving and doubling of maps by whole factors, each the other's transpose: averaging over blocks, and repeating
 * pixels. Their gradients are exact and exist on every engine, unlike those of bilinear resizing.
 */
import type * as tf from "../engine/tf.ts";
import { differentiable, type Pass } from "./differentiable.ts";
import { kernels } from "./loaded.ts";

/** Mean over blocks of factor x factor pixels. @param x [B, H, W, C], sides divisible by `factor` */
export function averageBlocks(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  return factor === 1 ? x : (differentiable([x], () => averagePass(x, factor)) as tf.Tensor4D);
}

/** Every pixel becomes a block of factor x factor. @param x [B, H, W, C] */
export function repeatPixels(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  if (factor === 1) return x;
  const k = kernels();
  return differentiable([x], () => ({
    y: k.repeatPixels(x, factor),
    back: (dy) => [k.times(k.averageBlocks(dy, factor), factor * factor)],
  })) as tf.Tensor4D;
}

/** As {@link averageBlocks}; gradient of x. */
export function averagePass(x: tf.Tensor, factor: number): Pass<[tf.Tensor]> {
  const k = kernels();
  return {
    y: k.averageBlocks(x, factor),
    back: (dy) => [k.repeatPixels(k.times(dy, 1 / (factor * factor)), factor)],
  };
}
