/** Easier samples first: `training.curriculum` of federation.yaml. */
import { z } from "zod";

export const curriculum = z.strictObject({
  /**
   * What makes a sample hard: the loss that the round's first model has on it, or how much there is to see in its labels
   * (length of the masks' borders; where there is no mask, the number of objects).
   */
  measure: z.enum(["loss", "labels"]).default("loss"),
  /** Share of the samples, the easiest, that training begins with. */
  start: z.number().gt(0).max(1).default(0.4),
  /** Share of all rounds after which every sample is in use; the share grows evenly until then. */
  full: z.number().gt(0).max(1).default(0.5),
});

export type Curriculum = z.infer<typeof curriculum>;
