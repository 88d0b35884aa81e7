/** The two gradients of a convolution, composed of operations that TensorFlow.js WASM is fast at. */
import * as tf from "../tf.ts";
import { fit, geometryOf, type ConvolutionAttributes, type Geometry, type Shape4D } from "./geometry.ts";
import { tapsOf } from "./taps.ts";

/**
 * Gradient with respect to the filter: dW[i, j, ci, co] = sum over positions p of x[p at tap (i, j), ci] * dy[p, co].
 *
 * @param x [B, H, W, Ci]
 * @param dy [B, OH, OW, Co]
 * @returns [kh, kw, Ci, Co]
 */
export function convolutionFilterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  filterShape: Shape4D,
  attributes: ConvolutionAttributes,
): tf.Tensor4D {
  return tf.tidy(() => {
    const g = geometryOf(x.shape, filterShape, attributes, false);
    const [kh, kw] = g.kernel;
    const taps = tapsOf(x, g);
    const right = tf.reshape(dy, [-1, g.outputChannels]) as tf.Tensor2D;
    // One product for each row of the filter: the copies of the input stay k, not k * k, times its size.
    const rows = Array.from({ length: kh }, (_, i) =>
      tf.tidy(() => {
        const columns = Array.from({ length: kw }, (__, j) => taps(i, j));
        return tf.matMul(columns.length === 1 ? columns[0]! : tf.concat(columns, 0), right);
      }),
    );
    return tf.reshape(rows.length === 1 ? rows[0]! : tf.concat(rows, 0), filterShape) as tf.Tensor4D;
  });
}

/**
 * Gradient with respect to the input: the convolution of dy, spread by the stride, with the filter turned by 180
 * degrees and its channels exchanged.
 *
 * @param dy [B, OH, OW, Co]
 * @param filter [kh, kw, Ci, Co]
 * @param inputShape [B, H, W, Ci]
 */
export function convolutionInputGradient(
  dy: tf.Tensor4D,
  filter: tf.Tensor4D,
  inputShape: Shape4D,
  attributes: ConvolutionAttributes,
): tf.Tensor4D {
  return tf.tidy(() => {
    const g = geometryOf(inputShape, filter.shape, attributes, false);
    const turned = tf.transpose(tf.reverse(filter, [0, 1]), [0, 1, 3, 2]);
    return tf.conv2d(spread(dy, g), turned, 1, "valid", "NHWC", [...g.dilation]);
  });
}

/**
 * Puts stride - 1 zeros between the rows and columns of dy and zeros around it, so that a filter that moves by one
 * and stays inside meets every input position.
 *
 * @param dy [B, OH, OW, C]
 * @returns [B, H + (kh - 1) dh, W + (kw - 1) dw, C]
 */
export function spread(dy: tf.Tensor4D, g: Geometry): tf.Tensor4D {
  const [sh, sw] = g.stride;
  const [oh, ow] = g.output;
  const channels = dy.shape[3];
  let wide: tf.Tensor = dy;
  if (sw > 1) {
    const columns = tf.reshape(wide, [g.batch * oh * ow, channels]);
    wide = tf.concat([columns, tf.zeros([g.batch * oh * ow, (sw - 1) * channels])], 1);
  }
  if (sh > 1) {
    const lines = tf.reshape(wide, [g.batch * oh, ow * sw * channels]);
    wide = tf.concat([lines, tf.zeros([g.batch * oh, (sh - 1) * ow * sw * channels])], 1);
  }
  const spaced = tf.reshape(wide, [g.batch, oh * sh, ow * sw, channels]) as tf.Tensor4D;
  const reach = [0, 1].map((i) => (g.kernel[i as 0 | 1] - 1) * g.dilation[i as 0 | 1]) as [number, number];
  const before = [reach[0] - g.padBefore[0], reach[1] - g.padBefore[1]] as const;
  return fit(spaced, 1, before, [
    g.input[0] + reach[0] - before[0] - oh * sh,
    g.input[1] + reach[1] - before[1] - ow * sw,
  ]);
}
