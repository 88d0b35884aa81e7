/**
 * Arithmetic on tensors without gradients: what the inside of operations with gradients of their own is written in.
 * There are two sets: of the native library, called directly, and of whatever TensorFlow.js runs on (loaded.ts chooses).
 */
import type * as tf from "../engine/tf.ts";

export interface Geometry {
  readonly stride: number;
  /** One filter per channel, [k, k, C, 1]. */
  readonly depthwise: boolean;
}

export interface Kernels {
  /** Elementwise, shapes broadcast. */
  add(a: tf.Tensor, b: tf.Tensor): tf.Tensor;
  sub(a: tf.Tensor, b: tf.Tensor): tf.Tensor;
  mul(a: tf.Tensor, b: tf.Tensor): tf.Tensor;
  /** Sum of tensors of one shape. */
  total(terms: readonly tf.Tensor[]): tf.Tensor;
  /** x times a number that is the same in every step: it may be kept. */
  times(x: tf.Tensor, factor: number): tf.Tensor;
  reshape(x: tf.Tensor, shape: readonly number[]): tf.Tensor;
  transpose(x: tf.Tensor, order: readonly number[]): tf.Tensor;
  /** The `count` parts of x along its first axis, each without that axis. */
  unstack(x: tf.Tensor, count: number): tf.Tensor[];
  /** Tensors of one shape along a new first axis. */
  stack(parts: readonly tf.Tensor[]): tf.Tensor;
  /** Product of two matrices, each transposed or not. */
  matMul(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): tf.Tensor;
  /** The same for the last two axes of tensors whose others are equal. */
  products(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): tf.Tensor;
  softmax(x: tf.Tensor): tf.Tensor;
  /** Sum along the last axis, which stays with length 1. */
  sumLast(x: tf.Tensor): tf.Tensor;
  /** relu?(x + bias), the bias along the last axis. */
  activate(x: tf.Tensor, bias: tf.Tensor | null, relu: boolean): tf.Tensor;
  /** dy where the activation y is positive, else 0. */
  reluGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor;
  /** Sum over all axes but the last. */
  biasGradient(dy: tf.Tensor): tf.Tensor;
  /** Sum of x^2 over all axes but first and last, [B * C]. */
  sumSquares(x: tf.Tensor): ArrayLike<number>;
  /** Sum of x y over the same axes, [B * C]. */
  sumProducts(x: tf.Tensor, y: tf.Tensor): ArrayLike<number>;
  /** x times one factor for each sample and channel, [B * C]. */
  scaleChannels(x: tf.Tensor, factors: Float32Array): tf.Tensor;
  /** Sum of x^2 along the last axis, one after the other. */
  sumSquaresLast(x: tf.Tensor): ArrayLike<number>;
  /** Padding "same". @param x [B, H, W, Ci] @param kernel [k, k, Ci, Co] */
  convolve(x: tf.Tensor, kernel: tf.Tensor, geometry: Geometry): tf.Tensor;
  /** Its gradients with respect to x and to the kernel. */
  convolveInput(dy: tf.Tensor, x: tf.Tensor, kernel: tf.Tensor, geometry: Geometry): tf.Tensor;
  convolveFilter(dy: tf.Tensor, x: tf.Tensor, kernel: tf.Tensor, geometry: Geometry): tf.Tensor;
  /** Mean over blocks of factor x factor pixels. @param x [B, H, W, C] */
  averageBlocks(x: tf.Tensor, factor: number): tf.Tensor;
  /** Every pixel becomes a block of factor x factor. @param x [B, H, W, C] */
  repeatPixels(x: tf.Tensor, factor: number): tf.Tensor;
}
