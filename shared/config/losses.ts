/** Which losses each head is trained with, and how the heads are weighed: `training.losses` of federation.yaml. */
import { z } from "zod";

/** A head's losses are added up. What each is: docs/metrics.md; `models/losses/table.ts` and `depth.ts` have them all. */
const someOf = z
  .array(z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/, "the name of a loss"))
  .min(1)
  .refine((list) => new Set(list).size === list.length, "each loss at most once");

export const losses = z.strictObject({
  segmentation: someOf.default(["crossEntropy", "dice"]),
  /** One or more of focal and crossEntropy for the classes, giou for the boxes. */
  detection: someOf.default(["focal", "giou"]),
  /** null: l2, and beside it scaleAndShiftInvariant where depth has neither unit nor zero. */
  depth: someOf.nullable().default(null),
  scene: someOf.default(["crossEntropy"]),
  weights: z
    .union([
      z.enum(["learned", "fixed"]),
      z.strictObject({
        detection: z.number().min(0),
        segmentation: z.number().min(0),
        depth: z.number().min(0),
        scene: z.number().min(0),
      }),
    ])
    .default("learned"),
});

/** Losses of depth that come along. */
export type DepthLossName =
  | "l1"
  | "l2"
  | "scaleInvariant"
  | "scaleAndShiftInvariant"
  | "ssim"
  | "smoothness"
  | "edgeAware"
  | "edgeGuided"
  | "ranking";

/** What is learned is what is scored: relative and inverse depth are aligned by scale and shift before they are. */
export function usualDepthLosses(metric: boolean): readonly DepthLossName[] {
  return metric ? ["l2"] : ["l2", "scaleAndShiftInvariant"];
}
