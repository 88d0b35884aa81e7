/**
 * Halving and doubling of maps by whole factors, each the other's transpose: averaging over blocks, and repeating
 * pixels. Their gradients are exact and exist on every engine, unlike those of bilinear resizing.
 */
import * as tf from "../engine/tf.ts";

/** Mean over blocks of factor x factor pixels. @param x [B, H, W, C], sides divisible by `factor` */
export function averageBlocks(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  if (factor === 1) return x;
  const op = tf.customGrad(() => ({
    value: tf.avgPool(x, factor, factor, "valid") as tf.Tensor,
    gradFunc: (dy: tf.Tensor) => [tf.mul(repeat(dy as tf.Tensor4D, factor), 1 / (factor * factor))],
  }));
  return op(x) as tf.Tensor4D;
}

/** Every pixel becomes a block of factor x factor. @param x [B, H, W, C] */
export function repeatPixels(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  if (factor === 1) return x;
  const op = tf.customGrad(() => ({
    value: repeat(x, factor) as tf.Tensor,
    gradFunc: (dy: tf.Tensor) => [tf.mul(tf.avgPool(dy as tf.Tensor4D, factor, factor, "valid"), factor * factor)],
  }));
  return op(x) as tf.Tensor4D;
}

function repeat(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  return tf.image.resizeNearestNeighbor(x, [x.shape[1] * factor, x.shape[2] * factor]);
}
