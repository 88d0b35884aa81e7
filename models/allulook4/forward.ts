/** Runs a model of this project's own layers: inputs by their names, outputs by head. */
import * as tf from "../engine/tf.ts";
import type { Feed, InputName } from "../feed.ts";
import { type OutputHead, OUTPUTS } from "./build.ts";

/** Output tensors by head, for the heads that the model has. Call inside `tf.tidy` or a gradient function. */
export function forward(model: tf.LayersModel, feed: Feed, training: boolean): Map<OutputHead, tf.Tensor> {
  const inputs = model.inputNames.map((name) => feed(name as InputName));
  const applied = model.apply(inputs, { training }) as tf.Tensor | tf.Tensor[];
  return byHead(model, Array.isArray(applied) ? applied : [applied]);
}

/** `outputs` in the order of the model's own. */
export function byHead(model: tf.LayersModel, outputs: readonly tf.Tensor[]): Map<OutputHead, tf.Tensor> {
  const heads = new Map<OutputHead, tf.Tensor>();
  for (const head of Object.keys(OUTPUTS) as OutputHead[]) {
    const at = model.outputNames.indexOf(OUTPUTS[head]);
    if (at >= 0) heads.set(head, outputs[at] as tf.Tensor);
  }
  return heads;
}
