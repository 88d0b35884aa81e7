/** Which losses each head is trained with, and how the heads are weighed: `training.losses` of federation.yaml. */
import { z } from "zod";

/** A head's losses are added up. What each is: docs/metrics.md. */
const someOf = <const T extends readonly [string, ...string[]]>(names: T) =>
  z
    .array(z.enum(names))
    .min(1)
    .refine((list) => new Set(list).size === list.length, "each loss at most once");

export const losses = z.strictObject({
  segmentation: someOf(["crossEntropy", "dice", "focal"]).default(["crossEntropy", "dice"]),
  /** One or more of the first two for the classes, giou for the boxes. */
  detection: someOf(["focal", "crossEntropy", "giou"]).default(["focal", "giou"]),
  /** null: l2, and beside it scaleAndShiftInvariant where depth has neither unit nor zero. */
  depth: someOf([
    "l1",
    "l2",
    "scaleInvariant",
    "scaleAndShiftInvariant",
    "ssim",
    "smoothness",
    "edgeAware",
    "edgeGuided",
    "ranking",
  ])
    .nullable()
    .default(null),
  scene: someOf(["crossEntropy", "focal"]).default(["crossEntropy"]),
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

export type DepthLossName = NonNullable<z.infer<typeof losses>["depth"]>[number];

/** What is learned is what is scored: relative and inverse depth are aligned by scale and shift before they are. */
export function usualDepthLosses(metric: boolean): readonly DepthLossName[] {
  return metric ? ["l2"] : ["l2", "scaleAndShiftInvariant"];
}
