/**
 * The kernels of the native TensorFlow library, called past TensorFlow.js's wrappers (7 us a call against 16): constant
 * shape and axis tensors are made once, and kernels without a TensorFlow.js name can be reached.
 *
 * Broadcasting over a short last axis is slow in the library (a bias on 8 x 64 x 64 x 12: 166 us, ReLU of the same: 41),
 * so large maps are seen as matrices of whole rows of pixels, and what is broadcast is repeated along a row (83 us).
 */
import * as tf from "../engine/tf.ts";
import { replaceKernels } from "./cached-arguments.ts";
import type { Geometry, Kernels } from "./kernels.ts";

interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean | string | readonly number[];
}

/** The part of @tensorflow/tfjs-node's backend that is used here. */
interface NodeBackend {
  executeSingleOutput(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[]): tf.Tensor;
  executeMultipleOutputs(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly tf.Tensor[],
    outputs: number,
  ): tf.Tensor[];
  readonly binding: Record<"TF_ATTR_STRING" | "TF_ATTR_INT" | "TF_ATTR_BOOL" | "TF_ATTR_TYPE" | "TF_FLOAT", number>;
}

/** Maps with fewer values are not worth the calls that make rows of them. */
const LARGE = 1 << 16;

let cached: { backend: unknown; kernels: Kernels } | null = null;

/** The native kernels, or null on any other engine. */
export function nativeKernels(): Kernels | null {
  if (tf.getBackend() !== "tensorflow") return null;
  const backend = tf.backend() as unknown as NodeBackend;
  if (cached?.backend === backend) return cached.kernels;
  cached = { backend, kernels: kernelsOf(backend) };
  replaceKernels("tensorflow", cachedArgumentKernels(cached.kernels, backend));
  return cached.kernels;
}

/** Types are left out where the library takes them from the inputs: it does so quicker than we can tell it. */
function kernelsOf(backend: NodeBackend): Kernels {
  const { binding } = backend;
  const float: Attribute = { name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
  const bool = (name: string): Attribute => ({ name, type: binding.TF_ATTR_BOOL, value: true });
  const ints = (name: string, value: number | readonly number[]) => ({ name, type: binding.TF_ATTR_INT, value });
  const text = (name: string, value: string): Attribute => ({ name, type: binding.TF_ATTR_STRING, value });
  const run = (name: string, inputs: readonly tf.Tensor[], attributes: readonly Attribute[] = []) =>
    backend.executeSingleOutput(name, attributes, inputs);
  const flags = (first: string, second: string) => {
    const [a, b] = [bool(first), bool(second)];
    const table = [[], [a], [b], [a, b]] as const;
    return (one: boolean, other: boolean) => table[(one ? 1 : 0) + (other ? 2 : 0)] as readonly Attribute[];
  };
  const transposed = flags("transpose_a", "transpose_b");
  const adjoint = flags("adj_x", "adj_y");
  const keep = [bool("keep_dims")];
  const same = text("padding", "SAME");
  const strides = [1, 2, 3, 4].map((stride) => [ints("strides", [1, stride, stride, 1]), same]);
  const steps = ({ stride }: Geometry) => strides[stride - 1] as readonly Attribute[];
  const reshape = (x: tf.Tensor, shape: readonly number[]) => run("Reshape", [x, constantInts(shape)]);
  const pointwise = (kernel: tf.Tensor, { stride, depthwise }: Geometry) =>
    kernel.shape[0] === 1 && stride === 1 && !depthwise;
  const matrix = (x: tf.Tensor) => reshape(x, [-1, x.shape.at(-1) as number]);
  const lines = (x: tf.Tensor) =>
    reshape(x, [x.shape[0] as number, x.shape[1] as number, (x.shape[2] as number) * (x.shape[3] as number)]);

  return {
    add: (a, b) => run("AddV2", [a, b]),
    sub: (a, b) => run("Sub", [a, b]),
    mul: (a, b) => run("Mul", [a, b]),
    total: (terms) => run("AddN", terms, [float, ints("N", terms.length)]),
    times: (x, factor) => run("Mul", [x, constantFloat(factor)]),
    reshape,
    transpose: (x, order) => run("Transpose", [x, constantInts(order)]),
    unstack: (x, count) => backend.executeMultipleOutputs("Unpack", [ints("num", count)], [x], count),
    stack: (parts) => run("Pack", parts, [float, ints("N", parts.length)]),
    matMul: (a, b, transposeA, transposeB) => run("MatMul", [a, b], transposed(transposeA, transposeB)),
    products: (a, b, transposeA, transposeB) => run("BatchMatMulV2", [a, b], adjoint(transposeA, transposeB)),
    softmax: (x) => run("Softmax", [x]),
    sumLast: (x) => run("Sum", [x, constantInts([-1])], keep),
    activate(x, bias, relu) {
      let y = x;
      const rows = bias === null ? null : rowShape(x);
      if (bias !== null) {
        y =
          rows === null
            ? run("BiasAdd", [x, bias])
            : run("BiasAdd", [reshape(x, rows), run("Tile", [bias, constantInts([x.shape[2] as number])])]);
      }
      if (relu) y = run("Relu", [y]);
      return rows === null ? y : reshape(y, x.shape);
    },
    reluGradient: (dy, y) => run("ReluGrad", [dy, y]),
    biasGradient(dy) {
      const rows = rowShape(dy);
      if (rows === null) return run("BiasAddGrad", [dy]);
      return run("BiasAddGrad", [reshape(run("BiasAddGrad", [reshape(dy, rows)]), dy.shape.slice(2))]);
    },
    sumSquares(x) {
      const rows = rowShape(x) === null ? x : lines(x);
      return sumRows(squared(run("EuclideanNorm", [rows, positionAxes(rows)])), x);
    },
    sumProducts(x, y) {
      const product = run("Mul", [x, y]);
      const rows = rowShape(x) === null ? product : lines(product);
      return sumRows(run("Sum", [rows, positionAxes(rows)]).dataSync<"float32">(), x);
    },
    scaleChannels(x, factors) {
      const [batch, channels] = [x.shape[0] as number, x.shape.at(-1) as number];
      if (rowShape(x) === null) {
        return run("Mul", [x, tf.tensor(factors, [batch, ...Array<number>(x.rank - 2).fill(1), channels])]);
      }
      const row = (x.shape[2] as number) * channels;
      const repeated = new Float32Array(batch * row);
      for (let b = 0; b < batch; b++) {
        repeated.set(factors.subarray(b * channels, (b + 1) * channels), b * row);
        for (let done = channels; done < row; done *= 2) {
          repeated.copyWithin(b * row + done, b * row, b * row + Math.min(done, row - done));
        }
      }
      return reshape(run("Mul", [lines(x), tf.tensor(repeated, [batch, 1, row])]), x.shape);
    },
    sumSquaresLast: (x) => squared(run("EuclideanNorm", [x, constantInts([-1])])),
    convolve: (x, kernel, geometry) =>
      run(geometry.depthwise ? "DepthwiseConv2dNative" : "Conv2D", [x, kernel], steps(geometry)),
    convolveInput: (dy, x, kernel, geometry) =>
      run(
        geometry.depthwise ? "DepthwiseConv2dNativeBackpropInput" : "Conv2DBackpropInput",
        [constantInts(x.shape), kernel, dy],
        steps(geometry),
      ),
    convolveFilter(dy, x, kernel, geometry) {
      // Twice as fast as the convolution's own kernel.
      if (pointwise(kernel, geometry)) {
        return reshape(run("MatMul", [matrix(x), matrix(dy)], transposed(true, false)), kernel.shape);
      }
      return run(
        geometry.depthwise ? "DepthwiseConv2dNativeBackpropFilter" : "Conv2DBackpropFilter",
        [x, constantInts(kernel.shape), dy],
        steps(geometry),
      );
    },
    averageBlocks(x, factor) {
      const block = [1, factor, factor, 1];
      return run("AvgPool", [x], [ints("ksize", block), ints("strides", block), text("padding", "VALID")]);
    },
    repeatPixels: (x, factor) =>
      run("ResizeNearestNeighbor", [
        x,
        constantInts([(x.shape[1] as number) * factor, (x.shape[2] as number) * factor]),
      ]),
  };
}

/** [B * H, W * C] of a large map [B, H, W, C], else null. */
function rowShape(x: tf.Tensor): readonly number[] | null {
  if (x.rank !== 4 || x.size < LARGE) return null;
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return [batch * height, width * channels];
}

/** The squares of a tensor's values, in double precision. */
function squared(x: tf.Tensor): Float64Array {
  const values = x.dataSync<"float32">();
  const squares = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) squares[i] = (values[i] as number) ** 2;
  return squares;
}

/** Sums over positions, of which a large map's are still apart by column, as [B * C]. */
function sumRows(sums: Float32Array | Float64Array, { shape }: tf.Tensor): ArrayLike<number> {
  const batch = shape[0] as number;
  const channels = shape.at(-1) as number;
  if (sums.length === batch * channels) return sums;
  const row = sums.length / batch;
  const totals = new Float64Array(batch * channels);
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let at = b * row + c; at < (b + 1) * row; at += channels) sum += sums[at] as number;
      totals[b * channels + c] = sum;
    }
  }
  return totals;
}

function positionAxes(x: tf.Tensor): tf.Tensor {
  return constantInts(x.shape.map((_, axis) => axis).slice(1, -1));
}

/** Reshape, Transpose and Sum of float32 tensors as TensorFlow.js itself calls them, with constant second arguments. */
function cachedArgumentKernels(
  { reshape, transpose }: Kernels,
  backend: NodeBackend,
): Parameters<typeof replaceKernels>[1] {
  const floats = (tensor: tf.TensorInfo | undefined) => (tensor?.dtype === "float32" ? (tensor as tf.Tensor) : null);
  return {
    Reshape: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      return x && reshape(x, attrs?.["shape"] as number[]);
    },
    Transpose: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      return x && transpose(x, attrs?.["perm"] as number[]);
    },
    Sum: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      if (x === null) return null;
      const axes = tf.util.parseAxisParam(attrs?.["axis"] as number[], x.shape);
      const value = attrs?.["keepDims"] === true;
      const keep: Attribute = { name: "keep_dims", type: backend.binding.TF_ATTR_BOOL, value };
      return backend.executeSingleOutput("Sum", [keep], [x, constantInts(axes)]);
    },
  };
}

const constants = new Map<string, tf.Tensor>();

/** A tensor that lives as long as the process: shapes, axes and factors, of which there are few. */
function constant(key: string, make: () => tf.Tensor): tf.Tensor {
  let tensor = constants.get(key);
  if (tensor === undefined) {
    tensor = tf.keep(make());
    constants.set(key, tensor);
  }
  return tensor;
}

function constantInts(values: readonly number[]): tf.Tensor {
  return constant(values.join(","), () => tf.tensor1d([...values], "int32"));
}

function constantFloat(value: number): tf.Tensor {
  return constant(`float ${value}`, () => tf.scalar(value));
}
