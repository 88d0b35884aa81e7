/** Runs an Allulook4 model on a rendered batch. */
import * as tf from "../engine/tf.ts";
import type { Batch } from "../preprocess/batch.ts";
import { TEXT_FEATURES, TEXT_WORDS } from "../preprocess/text.ts";
import { type OutputHead, OUTPUTS } from "./build.ts";

/** Output tensors by head, for the heads that the model has. Call inside `tf.tidy` or a gradient function. */
export function forward(model: tf.LayersModel, batch: Batch, training: boolean): Map<OutputHead, tf.Tensor> {
  const { height, width } = batch.geometry;
  const inputs = model.inputNames.map((name): tf.Tensor => {
    switch (name) {
      case "rgb":
        return tf.tensor4d(batch.rgb, [batch.size, height, width, 3]);
      case "depth":
        return tf.tensor4d(batch.depth, [batch.size, height, width, 2]);
      case "text":
        return tf.tensor3d(batch.text, [batch.size, TEXT_WORDS, TEXT_FEATURES], "int32");
      default:
        return tf.tensor2d(batch.presence, [batch.size, 3]);
    }
  });
  const applied = model.apply(inputs, { training }) as tf.Tensor | tf.Tensor[];
  const outputs = Array.isArray(applied) ? applied : [applied];
  const heads = new Map<OutputHead, tf.Tensor>();
  for (const head of Object.keys(OUTPUTS) as OutputHead[]) {
    const at = model.outputNames.indexOf(OUTPUTS[head]);
    if (at >= 0) heads.set(head, outputs[at] as tf.Tensor);
  }
  return heads;
}
