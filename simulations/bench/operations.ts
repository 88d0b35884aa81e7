/**
 * Floating-point operations of what the native engine executes: two for each multiplication that is added up in a
 * convolution or matrix product, none for anything else, as is usual when models are compared.
 */
import * as tf from "../../models/engine/tf.ts";

type Shape = readonly number[];
type Execute = (name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[]) => tf.Tensor;
interface Attribute {
  readonly name: string;
  readonly value: unknown;
}

/** Runs `work` once on the native engine. @returns its operations */
export function operationsOf(work: () => void): number {
  const backend = tf.backend() as unknown as { executeSingleOutput: Execute };
  const execute = backend.executeSingleOutput;
  let operations = 0;
  backend.executeSingleOutput = function (this: unknown, name, attributes, inputs) {
    const output = execute.call(this, name, attributes, inputs);
    operations += 2 * products(name, attributes, inputs, output.shape);
    return output;
  };
  try {
    work();
  } finally {
    backend.executeSingleOutput = execute;
  }
  return operations;
}

/** Products that a kernel adds up. Filters: [height, width, in, out], depthwise [height, width, in, multiplier]. */
function products(name: string, attributes: readonly Attribute[], inputs: readonly tf.Tensor[], output: Shape): number {
  const shape = (i: number): Shape => inputs[i]?.shape ?? [];
  const size = (of: Shape) => of.reduce((product, side) => product * side, 1);
  const window = (filter: Shape) => (filter[0] as number) * (filter[1] as number);
  const flag = (...names: string[]) => attributes.some((one) => names.includes(one.name) && one.value === true);
  switch (name) {
    case "Conv2D":
      return size(output) * window(shape(1)) * (shape(1)[2] as number);
    case "Conv2DBackpropInput":
      // Inputs: shape of the result, filter, gradient.
      return size(shape(2)) * window(shape(1)) * (shape(1)[2] as number);
    case "Conv2DBackpropFilter":
      // Inputs: picture, shape of the filter, gradient.
      return size(shape(2)) * window(output) * (output[2] as number);
    case "DepthwiseConv2dNative":
      return size(output) * window(shape(1));
    case "DepthwiseConv2dNativeBackpropInput":
      return size(shape(2)) * window(shape(1));
    case "DepthwiseConv2dNativeBackpropFilter":
      return size(shape(2)) * window(output);
    case "MatMul":
    case "BatchMatMul":
    case "BatchMatMulV2": {
      const inner = flag("transpose_a", "adj_x") ? shape(0).at(-2) : shape(0).at(-1);
      return size(output) * (inner ?? 0);
    }
    default:
      return 0;
  }
}
