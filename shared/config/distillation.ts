/** Learning from a larger model: `training.distillation` of federation.yaml. What it does: docs/training.md. */
import { z } from "zod";
import { sha256Hex } from "../ids.ts";

export const distillation = z.strictObject({
  /** Release folder of the teacher; relative to federation.yaml. Sites name their own copy in site.yaml. */
  teacher: z.string().min(1).max(4096),
  /** Which model that is: found out when federation.yaml is read; where it is given, no other will do. */
  sha256: sha256Hex.optional(),
  /** Softens the probabilities of both. */
  temperature: z.number().min(1).max(100).default(2),
  /** What the teacher's word counts for beside the labels. */
  weight: z.number().positive().max(1000).default(1),
});

export type Distillation = z.infer<typeof distillation>;
