/** The geometry that the gradients of convolutions share, read from a kernel's attributes. Layout NHWC throughout. */
import { CodedError } from "../../../shared/errors.ts";
import * as tf from "../tf.ts";

export type Pair = readonly [number, number];
export type Shape4D = [number, number, number, number];

/** Attributes as TensorFlow.js passes them to the gradient kernels. */
export interface ConvolutionAttributes {
  readonly strides: number | [number, number];
  readonly pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  readonly dataFormat?: "NHWC" | "NCHW";
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

export interface Geometry {
  readonly batch: number;
  /** Height and width. */
  readonly input: Pair;
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  /** Rows above and columns left of the input that its first window begins with; may be larger than needed. */
  readonly padBefore: Pair;
  readonly inputChannels: number;
  readonly outputChannels: number;
}

/**
 * @param input [B, H, W, Ci]
 * @param filter [kh, kw, Ci, Co], or [kh, kw, C, M] when depthwise
 * @throws CodedError ENGINE_KERNEL for a layout other than NHWC
 */
export function geometryOf(
  input: Shape4D,
  filter: Shape4D,
  attributes: ConvolutionAttributes,
  depthwise: boolean,
): Geometry {
  if (attributes.dataFormat !== undefined && attributes.dataFormat !== "NHWC") {
    throw new CodedError("ENGINE_KERNEL", `Convolutions in layout ${attributes.dataFormat} have no gradient on WASM.`);
  }
  const info = tf.backend_util.computeConv2DInfo(
    input,
    filter,
    attributes.strides,
    attributes.dilations ?? 1,
    attributes.pad,
    attributes.dimRoundingMode,
    depthwise,
  );
  return {
    batch: info.batchSize,
    input: [info.inHeight, info.inWidth],
    output: [info.outHeight, info.outWidth],
    kernel: [info.filterHeight, info.filterWidth],
    stride: [info.strideHeight, info.strideWidth],
    dilation: [info.dilationHeight, info.dilationWidth],
    padBefore: [info.padInfo.top, info.padInfo.left],
    inputChannels: info.inChannels,
    outputChannels: info.outChannels,
  };
}

/**
 * Adds zeros to, or where a number is negative cuts from, the ends of two axes.
 *
 * @param axes the first axis of height and width in `x`, of rank 4; width is the next axis
 */
export function fit(x: tf.Tensor4D, axis: 0 | 1 | 2, before: Pair, after: Pair): tf.Tensor4D {
  const begin = [0, 0, 0, 0];
  const size = [...x.shape];
  const pads: [number, number][] = [0, 0, 0, 0].map(() => [0, 0]);
  for (const i of [0, 1] as const) {
    const at = axis + i;
    begin[at] = Math.max(0, -before[i]);
    size[at] = (size[at] ?? 0) - Math.max(0, -before[i]) - Math.max(0, -after[i]);
    pads[at] = [Math.max(0, before[i]), Math.max(0, after[i])];
  }
  const cut = size.every((extent, i) => extent === x.shape[i]) ? x : tf.slice(x, begin, size);
  return pads.some(([a, b]) => a + b > 0) ? tf.pad(cut, pads) : cut;
}
