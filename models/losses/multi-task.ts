/**
 * The sum over heads. A head without labels in the batch is left out, so nothing leaks from unlabelled samples.
 * Weights are fixed, or learned from the tasks' uncertainty (Kendall et al. 2018): exp(-s) L + s per head, where the
 * few s are local to one round of one client and never leave it.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { OutputHead } from "../allulook4/build.ts";
import * as tf from "../engine/tf.ts";
import type { Targets } from "../preprocess/batch.ts";
import { depthLoss } from "./depth.ts";
import { boxLoss, focalLoss } from "./detection.ts";
import { sceneLoss } from "./scene.ts";
import { segmentationLoss } from "./segmentation.ts";

/** Order of the learned log-variances. */
export const TASKS = ["segmentation", "detection", "depth", "scene"] as const satisfies readonly OutputHead[];

type Losses = FederationConfig["training"]["losses"];

/** The loss of one head, or null when the batch holds no label for it. */
export function headLoss(head: OutputHead, output: tf.Tensor, targets: Targets, losses: Losses): tf.Scalar | null {
  switch (head) {
    case "segmentation": {
      if (!targets.segmentation.some((share) => share > 0)) return null;
      const classes = output.shape.at(-1) as number;
      return segmentationLoss(
        output as tf.Tensor4D,
        tf.tensor2d(targets.segmentation, [targets.segmentation.length / classes, classes]),
        losses.segmentation,
      );
    }
    case "detection": {
      if (!targets.boxesKnown.some((known) => known > 0)) return null;
      const classes = (output.shape.at(-1) as number) - 4;
      const terms: tf.Scalar[] = [];
      if (losses.detection.includes("focal")) {
        const heat = tf.tensor2d(targets.heat, [targets.heat.length / classes, classes]);
        terms.push(focalLoss(output as tf.Tensor4D, heat, tf.tensor1d(targets.boxesKnown)));
      }
      if (losses.detection.includes("giou") && targets.cells.cell.length > 0) {
        terms.push(boxLoss(output as tf.Tensor4D, targets.cells));
      }
      return terms.length === 0 ? null : terms.reduce((sum, term) => tf.add(sum, term));
    }
    case "depth": {
      if (!targets.depthWeight.some((weight) => weight > 0)) return null;
      return depthLoss(
        output as tf.Tensor4D,
        tf.tensor1d(targets.depth),
        tf.tensor1d(targets.depthWeight),
        losses.depth,
      );
    }
    case "scene": {
      if (!targets.scene.some((one) => one > 0)) return null;
      const classes = output.shape[1] as number;
      return sceneLoss(output as tf.Tensor2D, tf.tensor2d(targets.scene, [targets.scene.length / classes, classes]));
    }
  }
}

/** Fixed weight of a head; 1 where weights are learned. */
function fixedWeight(head: OutputHead, losses: Losses): number {
  return typeof losses.weights === "string" ? 1 : losses.weights[head];
}

/**
 * Adds the heads' losses.
 *
 * @param perHead the losses of the heads that the batch has labels for
 * @param uncertainty [TASKS.length], the learned s; null when weights are fixed
 */
export function combineLosses(
  perHead: ReadonlyMap<OutputHead, tf.Scalar>,
  losses: Losses,
  uncertainty: tf.Tensor1D | null,
): tf.Scalar {
  let total: tf.Scalar = tf.scalar(0);
  for (const [head, loss] of perHead) {
    let term = tf.mul(loss, fixedWeight(head, losses)) as tf.Scalar;
    if (uncertainty !== null) {
      const s = tf.reshape(tf.slice(uncertainty, TASKS.indexOf(head), 1), []) as tf.Scalar;
      term = tf.add(tf.mul(tf.exp(tf.neg(s)), term), s);
    }
    total = tf.add(total, term);
  }
  return total;
}
