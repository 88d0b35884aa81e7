/** The two gradients of a depthwise convolution, composed of operations that TensorFlow.js WASM has. */
import * as tf from "../tf.ts";
import { geometryOf, type ConvolutionAttributes, type Shape4D } from "./geometry.ts";
import { spread } from "./convolution.ts";
import { tapsOf } from "./taps.ts";

/**
 * Gradient with respect to the filter: dW[i, j, c, m] = sum over positions p of x[p at tap (i, j), c] * dy[p, c, m].
 *
 * @param x [B, H, W, C]
 * @param dy [B, OH, OW, C * M]
 * @returns [kh, kw, C, M]
 */
export function depthwiseFilterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  filterShape: Shape4D,
  attributes: ConvolutionAttributes,
): tf.Tensor4D {
  return tf.tidy(() => {
    const g = geometryOf(x.shape, filterShape, attributes, true);
    const [kh, kw, channels, multiplier] = filterShape;
    const taps = tapsOf(x, g);
    const planes = tf.transpose(tf.reshape(dy, [-1, channels, multiplier]), [2, 1, 0]);
    const parts = tf.unstack(planes);
    const sums: tf.Tensor[] = [];
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const tap = taps(i, j);
        const products = parts.map((part) => tf.tidy(() => tf.sum(tf.mul(tap, part), 1)));
        sums.push(tf.stack(products, 1));
        tap.dispose();
      }
    }
    return tf.reshape(tf.concat(sums, 0), filterShape) as tf.Tensor4D;
  });
}

/**
 * Gradient with respect to the input: each channel of dy, spread by the stride, convolved with its own filter turned
 * by 180 degrees, summed over the multiplier.
 *
 * @param dy [B, OH, OW, C * M]
 * @param filter [kh, kw, C, M]
 * @param inputShape [B, H, W, C]
 */
export function depthwiseInputGradient(
  dy: tf.Tensor4D,
  filter: tf.Tensor4D,
  inputShape: Shape4D,
  attributes: ConvolutionAttributes,
): tf.Tensor4D {
  return tf.tidy(() => {
    const g = geometryOf(inputShape, filter.shape, attributes, true);
    const [kh, kw, channels, multiplier] = filter.shape;
    const spaced = spread(dy, g);
    const turned = tf.reshape(tf.reverse(filter, [0, 1]), [kh, kw, channels * multiplier, 1]) as tf.Tensor4D;
    const each = tf.depthwiseConv2d(spaced, turned, 1, "valid", "NHWC", [...g.dilation]);
    if (multiplier === 1) return each;
    return tf.reshape(tf.sum(tf.reshape(each, [-1, channels, multiplier]), 2), inputShape) as tf.Tensor4D;
  });
}
