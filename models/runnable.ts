/** What training, evaluation and prediction need of a model, whatever its architecture. */
import type { FederationConfig } from "../shared/config/federation.ts";
import type * as tf from "./engine/tf.ts";
import type { OutputHead } from "./allulook4/build.ts";
import type { Feed } from "./feed.ts";
import type { Batch, Strides } from "./preprocess/batch.ts";

/** A part of the training that changes some of the weights by a loss of its own. */
export interface TrainingStage {
  /** Whether the weight of this name is changed. */
  trains(name: string): boolean;
  /** Null for a batch without labels. Call inside a gradient function. */
  loss(batch: Batch, losses: FederationConfig["training"]["losses"]): tf.Scalar | null;
}

export interface RunnableModel {
  /** Pixels per side of one cell of each head's map. */
  readonly strides: Strides;
  /**
   * Output maps by head, for the heads that the model has: segmentation [B, H/s, W/s, K] logits, detection
   * [B, H/4, W/4, K + 4], depth [B, H/s, W/s, 1] normalised, scene [B, S] logits. Call inside `tf.tidy` or a gradient
   * function.
   */
  forward(batch: Batch, training: boolean): Map<OutputHead, tf.Tensor>;
  /** What the sum of the heads' losses is multiplied by for a batch. */
  lossScale?(batch: Batch): number;
  /** What the model's own regularizers add to the loss. */
  penalties?(): tf.Scalar[];
  /** The stage that `progress`, the share of all rounds that is done, lies in; left out where there is one for all heads. */
  stageAt?(progress: number): TrainingStage;
}

/** A model that takes inputs from elsewhere than a batch. */
export interface AppliedModel extends RunnableModel {
  /** The same maps as `forward`, from inputs as `feed` gives them, without training; gradients reach rgb and depth. */
  apply(feed: Feed): Map<OutputHead, tf.Tensor>;
}
