/** Cross-entropy of the image-level class over the labelled samples of a batch. */
import * as tf from "../engine/tf.ts";

/**
 * @param logits [B, S]
 * @param truth [B, S], one-hot; all zero where unlabelled
 * @returns scalar
 */
export function sceneLoss(logits: tf.Tensor2D, truth: tf.Tensor2D): tf.Scalar {
  const labelled = tf.maximum(tf.sum(truth), 1);
  const shifted = tf.sub(logits, tf.max(logits, 1, true));
  const logarithms = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
  return tf.neg(tf.div(tf.sum(tf.mul(truth, logarithms)), labelled));
}
