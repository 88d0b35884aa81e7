/** What can go wrong with samples, and what training takes away from them or does to them so that it is ready for that. */
import { z } from "zod";

/** What can be wrong with a sample; `models/preprocess/corruption` says what each is. */
export const CORRUPTIONS = ["low-light", "noise", "fog", "rain", "occlusion", "no-depth", "no-text"] as const;
export type CorruptionName = (typeof CORRUPTIONS)[number];

/** A modality that is always withheld is one that `input.modalities` does not name. */
const dropped = z.number().min(0).lt(1);

/** `training.modalityDropout`: share of the training samples from which each modality is withheld. */
export const modalityDropout = z.strictObject({
  /** Of those samples that have depth to see by. */
  rgb: dropped.default(0.1),
  /** auto: 0.6 where depth is learned, as that happens only without it; else 0.25. */
  depth: z.union([z.literal("auto"), dropped]).default("auto"),
  text: dropped.default(0.3),
});

/** `training.augmentation.weather`. */
export const weather = z.strictObject({
  /** Of the training samples: each gets one of `kinds`. */
  share: z.number().min(0).max(1).default(0),
  /** Severities are drawn between 0 and this. */
  severity: z.number().positive().max(5).default(4),
  kinds: z
    .array(z.enum(["low-light", "noise", "fog", "rain", "occlusion"]))
    .min(1)
    .refine((list) => new Set(list).size === list.length, "each kind at most once")
    .default(["low-light", "noise", "fog", "rain"]),
});

export type ModalityDropout = z.infer<typeof modalityDropout>;
export type Weather = z.infer<typeof weather>;
