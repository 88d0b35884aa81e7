/** Learning from pictures without labels: `training.semiSupervised` of federation.yaml. What it does: docs/training.md. */
import { z } from "zod";
import { augmentation } from "./augmentation.ts";

const { contrast, brightness, saturation, tint, cutout } = augmentation.shape;

export const semiSupervised = z.strictObject({
  /** Whose predictions are the labels: the model that the round began with, or a moving average of the student. */
  teacher: z.enum(["global", "average"]).default("global"),
  /** Of the average: what stays of it in a step. */
  decay: z.number().min(0).lt(1).default(0.99),
  /** Probability from which a prediction is taken for a label. */
  confidence: z.number().min(0.5).lt(1).default(0.9),
  /**
   * Share of each class's cells in a batch, the surest, that are taken below the confidence, too: what is rare is never
   * sure at first, and would be unlearned (Zou et al. 2018).
   */
  perClass: z.number().min(0).max(1).default(0.5),
  /** What such a label counts for beside one that a person made. */
  weight: z.number().gt(0).max(1).default(1),
  /** The first round with it: a model that has learned nothing has nothing to teach. */
  fromRound: z.int().min(1).default(2),
  /** How strongly the student's picture is changed, instead of `training.augmentation`. The teacher's is not. */
  strong: z
    .strictObject({
      contrast: contrast.unwrap().default(0.3),
      brightness: brightness.unwrap().default(0.3),
      saturation: saturation.unwrap().default(0.2),
      tint: tint.unwrap().default(0.1),
      cutout: cutout.unwrap().prefault({ probability: 0.5, side: 0.3 }),
    })
    .prefault({}),
});

export type SemiSupervised = z.infer<typeof semiSupervised>;
