/**
 * Direct calls of TensorFlow kernels on the native engine, past TensorFlow.js's wrappers: constant shape and axis
 * tensors are made once, and kernels without a TensorFlow.js name can be reached. Other engines have no such door;
 * every caller has a portable path beside the native one.
 */
import * as tf from "../engine/tf.ts";
import { replaceKernels } from "./cached-arguments.ts";

interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean | string | readonly number[];
}

/** The part of @tensorflow/tfjs-node's backend that is used here. */
interface NodeBackend {
  executeSingleOutput(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[]): tf.Tensor;
  readonly binding: {
    readonly TF_ATTR_STRING: number;
    readonly TF_ATTR_INT: number;
    readonly TF_ATTR_BOOL: number;
    readonly TF_ATTR_TYPE: number;
    readonly TF_FLOAT: number;
    readonly TF_INT32: number;
  };
}

export interface NativeKernels {
  /** Runs a kernel whose only tensor type is float32. */
  run(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[]): tf.Tensor;
  readonly types: {
    readonly float: Attribute;
    /** The int32 type of an axis or shape input. */
    index(name: string): Attribute;
  };
  bool(name: string, value: boolean): Attribute;
  ints(name: string, value: readonly number[]): Attribute;
  text(name: string, value: string): Attribute;
}

let cached: { backend: unknown; kernels: NativeKernels } | null = null;

/** The native kernels, or null on any other engine. */
export function nativeKernels(): NativeKernels | null {
  if (tf.getBackend() !== "tensorflow") return null;
  const backend = tf.backend() as unknown as NodeBackend;
  if (cached?.backend === backend) return cached.kernels;
  const { binding } = backend;
  const float: Attribute = { name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
  const kernels: NativeKernels = {
    run: (name, attributes, inputs) => backend.executeSingleOutput(name, attributes, inputs),
    types: { float, index: (name) => ({ name, type: binding.TF_ATTR_TYPE, value: binding.TF_INT32 }) },
    bool: (name, value) => ({ name, type: binding.TF_ATTR_BOOL, value }),
    ints: (name, value) => ({ name, type: binding.TF_ATTR_INT, value }),
    text: (name, value) => ({ name, type: binding.TF_ATTR_STRING, value }),
  };
  cached = { backend, kernels };
  replaceKernels("tensorflow", cachedArgumentKernels(kernels));
  return kernels;
}

/** Reshape, Transpose and Sum of float32 tensors with constant second arguments. */
function cachedArgumentKernels({ run, types, bool }: NativeKernels): Parameters<typeof replaceKernels>[1] {
  const floats = (tensor: tf.TensorInfo | undefined) => (tensor?.dtype === "float32" ? (tensor as tf.Tensor) : null);
  return {
    Reshape: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      return x && run("Reshape", [types.float, types.index("Tshape")], [x, constantInts(attrs?.["shape"] as number[])]);
    },
    Transpose: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      return x && run("Transpose", [types.float, types.index("Tperm")], [x, constantInts(attrs?.["perm"] as number[])]);
    },
    Sum: ({ inputs, attrs }) => {
      const x = floats(inputs["x"]);
      if (x === null) return null;
      const axes = tf.util.parseAxisParam(attrs?.["axis"] as number[], x.shape);
      const keep = bool("keep_dims", attrs?.["keepDims"] === true);
      return run("Sum", [types.float, types.index("Tidx"), keep], [x, constantInts(axes)]);
    },
  };
}

const constants = new Map<string, tf.Tensor1D>();

/** An int32 vector that lives as long as the process: shapes and axes, of which there are few. */
export function constantInts(values: readonly number[]): tf.Tensor1D {
  const key = `${tf.getBackend()}:${values.join(",")}`;
  let tensor = constants.get(key);
  if (tensor === undefined) {
    tensor = tf.keep(tf.tensor1d([...values], "int32"));
    constants.set(key, tensor);
  }
  return tensor;
}
