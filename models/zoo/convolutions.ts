/** Convolutions with a gradient of this project's own, and the residual unit made of two. */
import { Convolution, type ConvolutionConfig } from "../allulook4/layers/convolution.ts";
import * as tf from "../engine/tf.ts";

/** Channels of one normalisation group. */
export const GROUP = 8;

/** A convolution with bias; neither norm nor ReLU unless asked for. */
export function convolution(
  name: string,
  filters: number,
  size: number,
  input: tf.SymbolicTensor,
  more: Partial<Omit<ConvolutionConfig, "name" | "filters" | "size">> = {},
): tf.SymbolicTensor {
  const plain = { stride: 1, relu: false, normGroup: 0, onData: false, rare: false };
  return new Convolution({ name, filters, size, ...plain, ...more }).apply(input) as tf.SymbolicTensor;
}

/** x + convolution(relu(convolution(norm(x)))), the residual convolution unit of RefineNet (Lin et al. 2017). */
export function residualUnit(name: string, filters: number, input: tf.SymbolicTensor): tf.SymbolicTensor {
  const first = convolution(`${name}_1`, filters, 3, input, { relu: true, normGroup: GROUP });
  const second = convolution(`${name}_2`, filters, 3, first);
  return tf.layers.add({ name: `${name}_add` }).apply([input, second]) as tf.SymbolicTensor;
}
