/**
 * Gradients for every example of a batch from one pass there and back. A weight's gradient is a sum over the batch; while
 * this is on, the passes that have weights compute its terms apart and note them, [B, ...weight], under the weight's name.
 * Rows of what a pass sees are ordered by example.
 */
import * as tf from "../engine/tf.ts";
import type { Geometry } from "./kernels.ts";
import { kernels } from "./loaded.ts";

export class ExampleGradients {
  readonly examples: number;
  readonly #terms = new Map<string, tf.Tensor>();

  constructor(examples: number) {
    this.examples = examples;
  }

  /** Of a variable, [B, ...shape]; undefined where no pass noted any. */
  of(name: string): tf.Tensor | undefined {
    return this.#terms.get(name);
  }

  /** Notes the terms of a weight's gradient. @returns their sum */
  add(weight: tf.Tensor, terms: tf.Tensor): tf.Tensor {
    const { name } = weight as tf.Variable;
    const before = this.#terms.get(name);
    const shaped = kernels().reshape(terms, [this.examples, ...weight.shape]);
    this.#terms.set(name, tf.keep(before === undefined ? shaped : tf.add(before, shaped)));
    before?.dispose();
    return kernels().reshape(tf.sum(terms, 0), weight.shape);
  }

  /** Of y = x w: the rows of x [P, Ci] and dy [P, Co] belong to the examples one after the other. */
  addProduct(weight: tf.Tensor, x: tf.Tensor, dy: tf.Tensor): tf.Tensor {
    return this.add(weight, kernels().products(this.#rows(x), this.#rows(dy), true, false));
  }

  /** Of y = x + w along the last axis. */
  addSum(weight: tf.Tensor, dy: tf.Tensor): tf.Tensor {
    return this.add(weight, tf.sum(this.#rows(dy), 1));
  }

  /** Of a convolution's kernel. */
  addConvolution(weight: tf.Tensor, x: tf.Tensor, dy: tf.Tensor, geometry: Geometry): tf.Tensor {
    const [rows, columns] = weight.shape as [number, number];
    if (rows * columns === 1 && geometry.stride === 1 && !geometry.depthwise) return this.addProduct(weight, x, dy);
    const k = kernels();
    const apart = (map: tf.Tensor) =>
      k.unstack(map, this.examples).map((one) => k.reshape(one, [1, ...map.shape.slice(1)]));
    const slopes = apart(dy);
    const terms = apart(x).map((one, i) => k.convolveFilter(slopes[i] as tf.Tensor, one, weight, geometry));
    return this.add(weight, k.stack(terms));
  }

  /** [..., C] -> [B, rows of one example, C] */
  #rows(x: tf.Tensor): tf.Tensor {
    const channels = x.shape.at(-1) as number;
    return kernels().reshape(x, [this.examples, x.size / (this.examples * channels), channels]);
  }

  dispose(): void {
    for (const terms of this.#terms.values()) terms.dispose();
    this.#terms.clear();
  }
}

let noting: ExampleGradients | null = null;

/** Where passes note their terms; null: nobody asks. */
export function exampleGradients(): ExampleGradients | null {
  return noting;
}

/** What `run` returns, with the terms noted meanwhile, which the caller disposes of. */
export function noteExamples<T>(
  examples: number,
  run: () => T,
): { readonly value: T; readonly noted: ExampleGradients } {
  const noted = new ExampleGradients(examples);
  noting = noted;
  try {
    return { value: run(), noted };
  } catch (error) {
    noted.dispose();
    throw error;
  } finally {
    noting = null;
  }
}
