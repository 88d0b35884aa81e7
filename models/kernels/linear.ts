/** Linear maps with bias and ReLU as single differentiable passes: dense, convolution, depthwise convolution. */
import type * as tf from "../engine/tf.ts";
import { differentiable, type Keep, type Pass } from "./differentiable.ts";
import { exampleGradients } from "./examples.ts";
import { kernels } from "./loaded.ts";

export interface ConvolutionOptions {
  readonly stride: number;
  readonly relu: boolean;
  /** One filter per channel, [k, k, C, 1]. */
  readonly depthwise?: boolean;
  /** False where x is data: the gradient with respect to it is never computed. */
  readonly inputGradient?: boolean;
}

/**
 * y = relu?(conv(x, kernel) + bias), padding "same".
 *
 * @param x [B, H, W, Ci]
 * @param kernel [k, k, Ci, Co], or [k, k, C, 1] when depthwise
 * @param bias [Co], or null
 */
export function convolution(
  x: tf.Tensor4D,
  kernel: tf.Tensor4D,
  bias: tf.Tensor1D | null,
  options: ConvolutionOptions,
): tf.Tensor4D {
  // Data is no input of the operation but a constant of it.
  const inputs = [...(options.inputGradient === false ? [] : [x]), kernel, ...(bias === null ? [] : [bias])];
  return differentiable(inputs, (keep) => convolutionPass(keep, x, kernel, bias, options)) as tf.Tensor4D;
}

/**
 * y = relu?(x w + bias).
 *
 * @param x [P, Ci]
 * @param kernel [Ci, Co]
 */
export function dense(x: tf.Tensor2D, kernel: tf.Tensor2D, bias: tf.Tensor1D, relu: boolean): tf.Tensor2D {
  return differentiable([x, kernel, bias], (keep) => densePass(keep, x, kernel, bias, relu)) as tf.Tensor2D;
}

/** As {@link convolution}; gradients of x (unless it is data), kernel and bias (unless null). */
export function convolutionPass(
  keep: Keep,
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | null,
  { stride, relu, depthwise = false, inputGradient = true }: ConvolutionOptions,
): Pass {
  const k = kernels();
  const geometry = { stride, depthwise };
  const y = k.activate(k.convolve(x, kernel, geometry), bias, relu);
  const [keptX, keptKernel, keptY] = [keep(x), keep(kernel), relu ? keep(y) : null];
  return {
    y,
    back(dy) {
      const dz = keptY === null ? dy : k.reluGradient(dy, keptY());
      const apart = exampleGradients();
      if (apart !== null) {
        return [
          ...(inputGradient ? [k.convolveInput(dz, keptX(), keptKernel(), geometry)] : []),
          apart.addConvolution(kernel, keptX(), dz, geometry),
          ...(bias === null ? [] : [apart.addSum(bias, dz)]),
        ];
      }
      return [
        ...(inputGradient ? [k.convolveInput(dz, keptX(), keptKernel(), geometry)] : []),
        k.convolveFilter(dz, keptX(), keptKernel(), geometry),
        ...(bias === null ? [] : [k.biasGradient(dz)]),
      ];
    },
  };
}

/** As {@link dense}; gradients of x, kernel and bias. */
export function densePass(
  keep: Keep,
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor,
  relu: boolean,
): Pass<[tf.Tensor, tf.Tensor, tf.Tensor]> {
  const k = kernels();
  const y = k.activate(k.matMul(x, kernel, false, false), bias, relu);
  const [keptX, keptKernel, keptY] = [keep(x), keep(kernel), relu ? keep(y) : null];
  return {
    y,
    back(dy) {
      const dz = keptY === null ? dy : k.reluGradient(dy, keptY());
      const apart = exampleGradients();
      if (apart !== null) {
        const dx = k.matMul(dz, keptKernel(), false, true);
        return [dx, apart.addProduct(kernel, keptX(), dz), apart.addSum(bias, dz)];
      }
      return [k.matMul(dz, keptKernel(), false, true), k.matMul(keptX(), dz, true, false), k.biasGradient(dz)];
    },
  };
}
