/**
 * Builds a LayersModel whose weights begin with values from a seed alone, equal on every machine: layers of
 * TensorFlow.js would draw them without one. While it is built, all weights are zeros, and their number is limited.
 */
import { CodedError } from "../shared/errors.ts";
import type { Initializer } from "./layer-initial.ts";
import * as tf from "./engine/tf.ts";

interface SeededWeight {
  readonly originalName: string;
  readonly shape: readonly number[];
  write(value: tf.Tensor): void;
}

interface BuildingLayer {
  addWeight(name: string, shape: number[], dtype: unknown, initializer: Initializer, ...rest: unknown[]): SeededWeight;
}

export interface Captured<T> {
  readonly made: T;
  /** What each weight was to begin with. */
  readonly initializers: ReadonlyMap<SeededWeight, Initializer>;
}

/** Runs `make`, which builds layers before it returns. Throws MODEL_LARGE beyond `maxParams`. */
export function withZeros<T>(make: () => T, maxParams = Number.POSITIVE_INFINITY): Captured<T> {
  const initializers = new Map<SeededWeight, Initializer>();
  const prototype = tf.layers.Layer.prototype as unknown as BuildingLayer;
  const { addWeight } = prototype;
  let params = 0;
  // Every weight passes here before it is allocated.
  prototype.addWeight = function (name, shape, dtype, initializer, ...rest) {
    params += shape.reduce((product, side) => product * side, 1);
    if (!(params <= maxParams)) {
      throw new CodedError("MODEL_LARGE", `the model has more than ${maxParams} params`, { expected: maxParams });
    }
    const zeros = tf.initializers.zeros() as unknown as Initializer;
    const weight = addWeight.call(this, name, shape, dtype, zeros, ...rest);
    initializers.set(weight, initializer);
    return weight;
  };
  try {
    return { made: make(), initializers };
  } finally {
    prototype.addWeight = addWeight;
  }
}

/** Writes the initial value of every weight of the model. */
export function fillWeights(
  model: tf.LayersModel,
  initializers: Captured<unknown>["initializers"],
  valuesOf: (initializer: Initializer, name: string, shape: readonly number[]) => Float32Array,
): void {
  for (const weight of model.weights as unknown as SeededWeight[]) {
    const initializer = initializers.get(weight);
    if (initializer === undefined) continue;
    const values = valuesOf(initializer, weight.originalName, weight.shape);
    tf.tidy(() => weight.write(tf.tensor(values, [...weight.shape])));
  }
}
