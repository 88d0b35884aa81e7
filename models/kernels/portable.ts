/** The kernels on any TensorFlow.js engine. Transposed operands are dealt with where WASM's product is (register.ts). */
import * as tf from "../engine/tf.ts";
import type { Geometry, Kernels } from "./kernels.ts";

export const portableKernels: Kernels = {
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, b),
  total: (terms) => terms.reduce((sum, term) => tf.add(sum, term)),
  times: (x, factor) => tf.mul(x, factor),
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, order) => tf.transpose(x, [...order]),
  unstack: (x) => tf.unstack(x),
  stack: (parts) => tf.stack([...parts]),
  matMul: (a, b, transposeA, transposeB) => tf.matMul(a, b, transposeA, transposeB),
  products: (a, b, transposeA, transposeB) => tf.matMul(a, b, transposeA, transposeB),
  softmax: (x) => tf.softmax(x),
  sumLast: (x) => tf.sum(x, -1, true),
  activate(x, bias, relu) {
    const y = bias === null ? x : tf.add(x, bias);
    return relu ? tf.relu(y) : y;
  },
  reluGradient: (dy, y) => tf.mul(dy, tf.step(y)),
  biasGradient: (dy) =>
    tf.sum(
      dy,
      dy.shape.slice(0, -1).map((_, axis) => axis),
    ),
  sumSquares: (x) => tf.sum(tf.square(x), positionAxes(x)).dataSync(),
  sumProducts: (x, y) => tf.sum(tf.mul(x, y), positionAxes(x)).dataSync(),
  scaleChannels: (x, factors) =>
    tf.mul(
      x,
      tf.tensor(
        factors,
        x.shape.map((side, axis) => (axis === 0 || axis === x.rank - 1 ? side : 1)),
      ),
    ),
  sumSquaresLast: (x) => tf.sum(tf.square(x), -1).dataSync(),
  convolve: (x, kernel, { stride, depthwise }) =>
    (depthwise ? tf.depthwiseConv2d : tf.conv2d)(x as tf.Tensor4D, kernel as tf.Tensor4D, stride, "same"),
  convolveInput: (dy, x, filter, geometry) =>
    tf
      .engine()
      .runKernel(
        geometry.depthwise ? tf.DepthwiseConv2dNativeBackpropInput : tf.Conv2DBackpropInput,
        { dy, filter },
        attributes(geometry, { inputShape: x.shape }),
      ),
  convolveFilter: (dy, x, filter, geometry) =>
    tf
      .engine()
      .runKernel(
        geometry.depthwise ? tf.DepthwiseConv2dNativeBackpropFilter : tf.Conv2DBackpropFilter,
        { x, dy },
        attributes(geometry, { filterShape: filter.shape }),
      ),
  averageBlocks: (x, factor) => tf.avgPool(x as tf.Tensor4D, factor, factor, "valid"),
  repeatPixels: (x, factor) =>
    tf.image.resizeNearestNeighbor(x as tf.Tensor4D, [
      (x.shape[1] as number) * factor,
      (x.shape[2] as number) * factor,
    ]),
};

function positionAxes(x: tf.Tensor): number[] {
  return x.shape.map((_, axis) => axis).slice(1, -1);
}

function attributes({ stride }: Geometry, shape: Record<string, number[]>): tf.NamedAttrMap {
  const fixed = { strides: stride, pad: "same", dataFormat: "NHWC", dilations: 1 };
  return { ...fixed, ...shape } as unknown as tf.NamedAttrMap;
}
