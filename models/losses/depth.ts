/**
 * L1 and L2 on normalised depth, where a reading exists that the model was not given. Metric depth is normalised by
 * its logarithm; relative depth per picture to zero mean and unit deviation, so that scale and shift have no say.
 */
import * as tf from "../engine/tf.ts";

/**
 * @param prediction [B, h, w, 1]
 * @param target [B * h * w]
 * @param weight [B * h * w], 0 where there is nothing to learn
 * @returns scalar
 */
export function depthLoss(
  prediction: tf.Tensor4D,
  target: tf.Tensor1D,
  weight: tf.Tensor1D,
  kinds: readonly ("l1" | "l2")[],
): tf.Scalar {
  const flat = tf.reshape(prediction, [-1]);
  const error = tf.sub(flat, target);
  const total = tf.maximum(tf.sum(weight), 1);
  const terms = kinds.map((kind) =>
    tf.div(tf.sum(tf.mul(kind === "l1" ? tf.abs(error) : tf.square(error), weight)), total),
  );
  return terms.reduce((sum, term) => tf.add(sum, term)) as tf.Scalar;
}
