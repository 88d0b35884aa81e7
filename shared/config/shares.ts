/**
 * What of the model is trained and summed, and what stays at each site: fields of federation.yaml's `training`.
 * `models/shares.ts` finds the weights that the words name.
 */
import { z } from "zod";
import { HEADS } from "../release/scores.ts";

/** Low-rank adapters (LoRA, Hu et al. 2021): of `trainable: adapters`. */
export const adapters = z.strictObject({
  /** Rank r of what is added to a kernel. */
  rank: z.int().min(1).max(256).default(4),
  /** What is added is alpha / rank times the product of the two factors; twice the rank unless given. */
  alpha: z.number().positive().max(1024).optional(),
  /** `fixed`: the factor at the input keeps its initial values and is not sent (FFA-LoRA, Sun et al. 2024). */
  down: z.enum(["trained", "fixed"]).default("trained"),
  /** What is trained whole beside the adapters. */
  full: z.array(z.enum(["heads", "norms", "biases"])).default(["heads", "norms", "biases"]),
});

/** Parts of the model that each site keeps for itself: all heads, or some by name. */
const PERSONAL = ["norms", "biases", "heads", ...HEADS] as const;
export type PersonalPart = (typeof PERSONAL)[number];
export const personal = z.array(z.enum(PERSONAL));
