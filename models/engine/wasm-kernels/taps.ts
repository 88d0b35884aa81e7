/**
 * The input as each position of the filter sees it ("im2col", Chellapilla et al. 2006), channels first, so that the
 * filter's gradient is one product of untransposed matrices, the only fast product of TensorFlow.js WASM.
 */
import * as tf from "../tf.ts";
import { fit, type Geometry } from "./geometry.ts";

/** Gives for a filter position [C, B * OH * OW]: the input value that each output position multiplies it with. */
export type Taps = (row: number, column: number) => tf.Tensor2D;

/** @param x [B, H, W, C] */
export function tapsOf(x: tf.Tensor4D, g: Geometry): Taps {
  const [sh, sw] = g.stride;
  const channels = x.shape[3];
  const positions = g.batch * g.output[0] * g.output[1];
  const extent = (i: 0 | 1): number => (g.output[i] - 1) * g.stride[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
  // Whole multiples of the stride, so that the strides can be split off as axes of their own.
  const height = Math.ceil(extent(0) / sh) * sh;
  const width = Math.ceil(extent(1) / sw) * sw;
  const padded = fit(x, 1, g.padBefore, [height - g.input[0] - g.padBefore[0], width - g.input[1] - g.padBefore[1]]);
  if (sh === 1 && sw === 1) {
    const planes = tf.transpose(padded, [3, 0, 1, 2]);
    return (row, column) => {
      const begin = [0, 0, row * g.dilation[0], column * g.dilation[1]];
      return tf.reshape(tf.slice(planes, begin, [channels, g.batch, ...g.output]), [channels, positions]);
    };
  }
  const split = tf.reshape(padded, [g.batch, height / sh, sh, (width / sw) * sw * channels]);
  // In two transpositions of rank 4 and less: WASM is slow at higher ranks.
  const rows = tf.reshape(tf.transpose(split, [2, 0, 1, 3]), [
    sh * g.batch * (height / sh) * (width / sw),
    sw,
    channels,
  ]);
  const phases = tf.reshape(tf.transpose(rows, [1, 2, 0]), [sw, channels, sh, g.batch * (height / sh) * (width / sw)]);
  return (row, column) => {
    const y = row * g.dilation[0];
    const x0 = column * g.dilation[1];
    const plane = tf.slice(phases, [x0 % sw, 0, y % sh, 0], [1, channels, 1, -1]);
    const whole = tf.reshape(plane, [channels, g.batch, height / sh, width / sw]) as tf.Tensor4D;
    const begin = [0, 0, Math.floor(y / sh), Math.floor(x0 / sw)];
    return tf.reshape(tf.slice(whole, begin, [channels, g.batch, ...g.output]), [channels, positions]);
  };
}
