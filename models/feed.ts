/** What the inputs of a model are fed with, by modality: from a batch, or with tensors of one's own in their place. */
import * as tf from "./engine/tf.ts";
import type { Batch } from "./preprocess/batch.ts";
import { TEXT_FEATURES, TEXT_WORDS } from "./preprocess/text.ts";

/** Also the names of the inputs of this project's models. */
export type InputName = "rgb" | "depth" | "text" | "presence";

/** Makes the tensor of one input when a model asks for it: shapes as in {@link Batch}. */
export type Feed = (name: InputName) => tf.Tensor;

/** The inputs of a rendered batch. */
export function feedOf(batch: Batch): Feed {
  const { size } = batch;
  const { height, width } = batch.geometry;
  return (name) => {
    switch (name) {
      case "rgb":
        return tf.tensor4d(batch.rgb, [size, height, width, 3]);
      case "depth":
        return tf.tensor4d(batch.depth, [size, height, width, 2]);
      case "text":
        return tf.tensor3d(batch.text, [size, TEXT_WORDS, TEXT_FEATURES], "int32");
      case "presence":
        return tf.tensor2d(batch.presence, [size, 3]);
    }
  };
}
