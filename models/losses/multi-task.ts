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
import { classLoss, detectionLoss, sceneLoss, SEGMENTATION_LOSSES } from "./table.ts";

/** Order of the learned log-variances. */
export const TASKS = ["segmentation", "detection", "depth", "scene"] as const satisfies readonly OutputHead[];

type Losses = FederationConfig["training"]["losses"];

/** The loss of one head, or null when the batch holds no label for it. */
export function headLoss(head: OutputHead, output: tf.Tensor, targets: Targets, losses: Losses): tf.Scalar | null {
  switch (head) {
    case "segmentation": {
      if (!targets.segmentation.some((share) => share > 0)) return null;
      const classes = output.shape.at(-1) as number;
      const shares = tf.tensor2d(targets.segmentation, [targets.segmentation.length / classes, classes]);
      return classLoss(SEGMENTATION_LOSSES, losses.segmentation, output as tf.Tensor4D, shares);
    }
    case "detection": {
      if (!targets.boxesKnown.some((known) => known > 0)) return null;
      const classes = (output.shape.at(-1) as number) - 4;
      return detectionLoss(losses.detection, output as tf.Tensor4D, {
        heat: tf.tensor2d(targets.heat, [targets.heat.length / classes, classes]),
        known: tf.tensor1d(targets.boxesKnown),
        cells: targets.cells,
      });
    }
    case "depth": {
      if (!targets.depthWeight.some((weight) => weight > 0)) return null;
      return depthLoss(output as tf.Tensor4D, targets, losses.depth);
    }
    case "scene": {
      if (!targets.scene.some((one) => one > 0)) return null;
      const classes = output.shape[1] as number;
      const truth = tf.tensor2d(targets.scene, [targets.scene.length / classes, classes]);
      return sceneLoss(losses.scene, output as tf.Tensor2D, truth);
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
  const heads = [...perHead.keys()];
  const inputs = [...perHead.values(), ...(uncertainty === null ? [] : [uncertainty])];
  // A handful of numbers: as kernels they would cost more than a convolution.
  const op = tf.customGrad(() => {
    const weights = new Float32Array(heads.length);
    const byUncertainty = new Float32Array(TASKS.length);
    const s = uncertainty?.dataSync<"float32">();
    let total = 0;
    for (const [i, head] of heads.entries()) {
      const task = TASKS.indexOf(head);
      const logarithm = s?.[task] ?? 0;
      const weight = fixedWeight(head, losses) * Math.exp(-logarithm);
      const loss = (perHead.get(head) as tf.Scalar).dataSync()[0] as number;
      weights[i] = weight;
      byUncertainty[task] = 1 - weight * loss;
      total += weight * loss + logarithm;
    }
    return {
      value: tf.scalar(total) as tf.Tensor,
      gradFunc: (dy: tf.Tensor) => {
        const factor = dy.dataSync()[0] as number;
        const gradients: tf.Tensor[] = Array.from(weights, (weight) => tf.scalar(weight * factor));
        return uncertainty === null ? gradients : [...gradients, tf.tensor1d(byUncertainty.map((g) => g * factor))];
      },
    };
  });
  return op(...inputs) as tf.Scalar;
}
