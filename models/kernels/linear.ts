/**
 * Linear maps with bias and ReLU as single differentiable operations: dense, convolution, depthwise convolution.
 * One entry on the gradient tape each, with the backward pass written by hand. On engines other than the native one
 * transposed operands are transposed first, since TensorFlow.js WASM multiplies those 20 times slower.
 */
import * as tf from "../engine/tf.ts";
import { constantInts, nativeKernels, type NativeKernels } from "./native.ts";

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
  const withInput = options.inputGradient ?? true;
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    let y = convolve(x, kernel, options);
    if (bias !== null) y = biasAdd(y, bias);
    if (options.relu) y = tf.relu(y);
    save(options.relu ? [x, kernel, y] : [x, kernel]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x0, w0, y0] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D | undefined];
        const dz = (y0 === undefined ? dy : reluGradient(dy, y0)) as tf.Tensor4D;
        const gradients: tf.Tensor[] = withInput ? [inputGradient(dz, x0, w0, options)] : [];
        gradients.push(filterGradient(dz, x0, w0, options));
        if (bias !== null) gradients.push(biasGradient(dz));
        return gradients;
      },
    };
  });
  // Data is no input of the operation but a constant of it.
  return op(...([...(withInput ? [x] : []), kernel, ...(bias === null ? [] : [bias])] as tf.Tensor[])) as tf.Tensor4D;
}

/**
 * y = relu?(x w + bias).
 *
 * @param x [P, Ci]
 * @param kernel [Ci, Co]
 */
export function dense(x: tf.Tensor2D, kernel: tf.Tensor2D, bias: tf.Tensor1D | null, relu: boolean): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    let y = matMul(x, kernel, false, false);
    if (bias !== null) y = biasAdd(y, bias);
    if (relu) y = tf.relu(y);
    save(relu ? [x, kernel, y] : [x, kernel]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x0, w0, y0] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D | undefined];
        const dz = (y0 === undefined ? dy : reluGradient(dy, y0)) as tf.Tensor2D;
        const gradients: tf.Tensor[] = [matMul(dz, w0, false, true), matMul(x0, dz, true, false)];
        if (bias !== null) gradients.push(biasGradient(dz));
        return gradients;
      },
    };
  });
  return op(...([x, kernel, ...(bias === null ? [] : [bias])] as tf.Tensor[])) as tf.Tensor2D;
}

/** Plain product of two matrices, each transposed or not; no gradient of its own. */
function matMul(a: tf.Tensor2D, b: tf.Tensor2D, transposeA: boolean, transposeB: boolean): tf.Tensor2D {
  const native = nativeKernels();
  if (native !== null) {
    return native.run(
      "MatMul",
      [native.types.float, native.bool("transpose_a", transposeA), native.bool("transpose_b", transposeB)],
      [a, b],
    ) as tf.Tensor2D;
  }
  return tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b);
}

/** x plus a vector along the last axis. */
function biasAdd<T extends tf.Tensor>(x: T, bias: tf.Tensor1D): T {
  const native = nativeKernels();
  return (native === null ? tf.add(x, bias) : native.run("BiasAdd", [native.types.float], [x, bias])) as T;
}

/** Sum over all axes but the last. */
function biasGradient(dy: tf.Tensor): tf.Tensor1D {
  const native = nativeKernels();
  if (native !== null) return native.run("BiasAddGrad", [native.types.float], [dy]) as tf.Tensor1D;
  const axes = dy.shape.map((_, axis) => axis).slice(0, -1);
  return tf.sum(dy, axes) as tf.Tensor1D;
}

/** dy where the activation y is positive, else 0. */
function reluGradient<T extends tf.Tensor>(dy: T, y: T): T {
  const native = nativeKernels();
  return (native === null ? tf.mul(dy, tf.step(y)) : native.run("ReluGrad", [native.types.float], [dy, y])) as T;
}

function geometry(native: NativeKernels, stride: number) {
  return [
    native.types.float,
    native.ints("strides", [1, stride, stride, 1]),
    native.text("padding", "SAME"),
    native.text("data_format", "NHWC"),
  ];
}

function convolve(x: tf.Tensor4D, kernel: tf.Tensor4D, options: ConvolutionOptions): tf.Tensor4D {
  const native = nativeKernels();
  if (native === null) {
    return options.depthwise === true
      ? tf.depthwiseConv2d(x, kernel, options.stride, "same")
      : tf.conv2d(x, kernel, options.stride, "same");
  }
  const name = options.depthwise === true ? "DepthwiseConv2dNative" : "Conv2D";
  return native.run(name, geometry(native, options.stride), [x, kernel]) as tf.Tensor4D;
}

function inputGradient(dy: tf.Tensor4D, x: tf.Tensor4D, kernel: tf.Tensor4D, options: ConvolutionOptions): tf.Tensor4D {
  const native = nativeKernels();
  if (native !== null) {
    const name = options.depthwise === true ? "DepthwiseConv2dNativeBackpropInput" : "Conv2DBackpropInput";
    const attributes = geometry(native, options.stride);
    return native.run(name, attributes, [constantInts(x.shape), kernel, dy]) as tf.Tensor4D;
  }
  const attributes = { strides: options.stride, pad: "same" as const, dataFormat: "NHWC" as const, dilations: 1 };
  return (
    options.depthwise === true
      ? tf.engine().runKernel(tf.DepthwiseConv2dNativeBackpropInput, { dy, filter: kernel }, {
          ...attributes,
          inputShape: x.shape,
        } as unknown as tf.NamedAttrMap)
      : tf.engine().runKernel(tf.Conv2DBackpropInput, { dy, filter: kernel }, {
          ...attributes,
          inputShape: x.shape,
        } as unknown as tf.NamedAttrMap)
  ) as tf.Tensor4D;
}

function filterGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  kernel: tf.Tensor4D,
  options: ConvolutionOptions,
): tf.Tensor4D {
  const native = nativeKernels();
  if (native !== null) {
    const name = options.depthwise === true ? "DepthwiseConv2dNativeBackpropFilter" : "Conv2DBackpropFilter";
    const attributes = geometry(native, options.stride);
    return native.run(name, attributes, [x, constantInts(kernel.shape), dy]) as tf.Tensor4D;
  }
  const attributes = { strides: options.stride, pad: "same" as const, dataFormat: "NHWC" as const, dilations: 1 };
  const name = options.depthwise === true ? tf.DepthwiseConv2dNativeBackpropFilter : tf.Conv2DBackpropFilter;
  return tf.engine().runKernel(name, { x, dy }, {
    ...attributes,
    filterShape: kernel.shape,
  } as unknown as tf.NamedAttrMap) as tf.Tensor4D;
}
