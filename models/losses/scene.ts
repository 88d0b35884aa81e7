/** Cross-entropy and focal loss of the image-level class over the labelled samples of a batch. */
import * as tf from "../engine/tf.ts";
import { segmentationLoss } from "./segmentation.ts";

/**
 * @param logits [B, S]
 * @param truth [B, S], one-hot; all zero where unlabelled
 * @param kinds the terms to add up
 * @returns scalar
 */
export function sceneLoss(
  logits: tf.Tensor2D,
  truth: tf.Tensor2D,
  kinds: readonly ("crossEntropy" | "focal")[],
): tf.Scalar {
  // One picture is one cell.
  return segmentationLoss(tf.reshape(logits, [logits.shape[0], 1, 1, logits.shape[1]]), truth, kinds);
}
