/**
 * The losses that `training.losses` may name for classes, boxes and scenes (those of depth: `depth.ts`). Another loss is
 * one new file and one line here; docs/models.md has an example.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import * as tf from "../engine/tf.ts";
import type { BoxCells } from "../preprocess/box-targets.ts";
import { DEPTH_LOSSES } from "./depth.ts";
import { boxLoss, focalLoss, heatCrossEntropy } from "./detection.ts";
import { segmentationLoss } from "./segmentation.ts";

/** Computed in one pass with the others of its kind (segmentation.ts). */
const TOGETHER = "together";

/** @param logits [B, h, w, K] @param shares [B * h * w, K], all zero where nothing is labelled */
export type ClassLoss = (logits: tf.Tensor4D, shares: tf.Tensor2D) => tf.Scalar;

export interface BoxTargets {
  /** [B * h * w, K], 1 at centres */
  readonly heat: tf.Tensor2D;
  /** [B], 1 where boxes are labelled */
  readonly known: tf.Tensor1D;
  readonly cells: BoxCells;
}

/** Null where the batch has nothing for it. @param output [B, h, w, K + 4] */
type BoxLoss = (output: tf.Tensor4D, targets: BoxTargets) => tf.Scalar | null;

export const SEGMENTATION_LOSSES: Record<string, ClassLoss | typeof TOGETHER> = {
  crossEntropy: TOGETHER,
  dice: TOGETHER,
  focal: TOGETHER,
};

/** One picture is one cell. */
const SCENE_LOSSES: Record<string, ClassLoss | typeof TOGETHER> = {
  crossEntropy: TOGETHER,
  focal: TOGETHER,
};

const DETECTION_LOSSES: Record<string, BoxLoss> = {
  focal: (output, { heat, known }) => focalLoss(output, heat, known),
  crossEntropy: (output, { heat, known }) => heatCrossEntropy(output, heat, known),
  giou: (output, { cells }) => (cells.cell.length > 0 ? boxLoss(output, cells) : null),
};

/** The named losses of a table, added up. */
export function classLoss(
  table: Readonly<Record<string, ClassLoss | typeof TOGETHER>>,
  names: readonly string[],
  logits: tf.Tensor4D,
  shares: tf.Tensor2D,
): tf.Scalar {
  const together = names.filter((name) => table[name] === TOGETHER);
  const apart = names.flatMap((name) => {
    const loss = table[name];
    return loss === undefined || loss === TOGETHER ? [] : [loss(logits, shares)];
  });
  return [...(together.length === 0 ? [] : [segmentationLoss(logits, shares, together)]), ...apart].reduce((a, b) =>
    tf.add(a, b),
  );
}

/** Those of a scene. @param logits [B, S] @param truth [B, S], one-hot; all zero where unlabelled */
export function sceneLoss(names: readonly string[], logits: tf.Tensor2D, truth: tf.Tensor2D): tf.Scalar {
  const [batch, classes] = logits.shape;
  return classLoss(SCENE_LOSSES, names, tf.reshape(logits, [batch, 1, 1, classes]), truth);
}

/** The named losses of boxes, added up in the table's order; null where none has anything. */
export function detectionLoss(names: readonly string[], output: tf.Tensor4D, targets: BoxTargets): tf.Scalar | null {
  const terms = Object.entries(DETECTION_LOSSES).flatMap(([name, loss]) => {
    const term = names.includes(name) ? loss(output, targets) : null;
    return term === null ? [] : [term];
  });
  return terms.length === 0 ? null : terms.reduce((a, b) => tf.add(a, b));
}

/** Throws MODEL_PART for a loss that no table has. */
export function checkLosses({ segmentation, detection, depth, scene }: FederationConfig["training"]["losses"]): void {
  const tables = [
    ["segmentation", segmentation, SEGMENTATION_LOSSES],
    ["detection", detection, DETECTION_LOSSES],
    ["depth", depth ?? [], DEPTH_LOSSES],
    ["scene", scene, SCENE_LOSSES],
  ] as const;
  for (const [head, names, table] of tables) {
    const unknown = names.find((name) => !Object.hasOwn(table, name));
    if (unknown === undefined) continue;
    const [field, expected] = [`training.losses.${head}`, Object.keys(table)];
    throw new CodedError("MODEL_PART", `${field}: expected ${expected.join(", ")}, got ${unknown}`, {
      field,
      expected,
      got: unknown,
    });
  }
}
