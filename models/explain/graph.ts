/**
 * Runs a model's graph opened up: what `model.apply` computes, with any inner value handed out, or given in its place.
 * The trained layers do the work, so nothing about them is different while they are looked at.
 */
import * as tf from "../engine/tf.ts";
import type { Feed, InputName } from "../feed.ts";

/** Values of a run by the id of their symbolic tensor. */
export type GraphValues = Map<number, tf.Tensor>;

/**
 * Call inside `tf.tidy` or a gradient function.
 *
 * @param given values to use instead of those that the layers would compute, by the id of their symbolic tensor
 */
export function runGraph(model: tf.LayersModel, feed: Feed, given: ReadonlyMap<number, tf.Tensor>): GraphValues {
  const values: GraphValues = new Map(given);
  for (const [i, { id }] of model.inputs.entries()) {
    if (!values.has(id)) values.set(id, feed(model.inputNames[i] as InputName));
  }
  const { nodesByDepth } = model;
  for (const depth of Object.keys(nodesByDepth).toSorted((a, b) => Number(b) - Number(a))) {
    for (const { inputTensors, outputTensors, outboundLayer } of nodesByDepth[depth] ?? []) {
      if (outputTensors.every(({ id }) => values.has(id))) continue;
      const inputs = inputTensors.map(({ id }) => values.get(id) as tf.Tensor);
      const called = outboundLayer.call(inputs.length === 1 ? (inputs[0] as tf.Tensor) : inputs, { training: false });
      const outputs = Array.isArray(called) ? called : [called];
      for (const [i, { id }] of outputTensors.entries()) if (!values.has(id)) values.set(id, outputs[i] as tf.Tensor);
    }
  }
  return values;
}

/** The values of these symbolic tensors. */
export function valuesOf(values: GraphValues, symbols: tf.SymbolicTensor | readonly tf.SymbolicTensor[]): tf.Tensor[] {
  const list = Array.isArray(symbols) ? (symbols as readonly tf.SymbolicTensor[]) : [symbols as tf.SymbolicTensor];
  return list.map(({ id }) => values.get(id) as tf.Tensor);
}
