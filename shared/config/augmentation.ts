/** What training draws anew for every picture: `training.augmentation` of federation.yaml. Its defaults are mild. */
import { z } from "zod";
import { weather } from "./robustness.ts";

const probability = z.number().min(0).max(1).default(0);
const word = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[\p{Ll}\p{Lo}\p{N}]+$/u, "one lower-case word");

export const augmentation = z.strictObject({
  /** Factors between which a picture is magnified about a random point (a crop) or shrunk. */
  zoom: z.tuple([z.number().min(0.25).max(1), z.number().min(1).max(4)]).default([0.9, 1.1]),
  /** Width over height changes by up to this factor, either way. */
  aspect: z.number().min(1).max(2).default(1),
  flip: z
    .strictObject({
      probability,
      /** Words of captions that change places when the picture is mirrored. */
      words: z
        .array(z.tuple([word, word]))
        .max(64)
        .default([["left", "right"]]),
    })
    .prefault({}),
  /** Natural logarithm of the largest factor of contrast, either way. */
  contrast: z.number().min(0).max(2).default(0.2),
  /** Largest shift, in deviations of pixel values. */
  brightness: z.number().min(0).max(3).default(0.2),
  /** Share of the colour by which a picture gets greyer or more colourful: 1 reaches from grey to twice its colour. */
  saturation: z.number().min(0).max(1).default(0),
  /** Largest shift of each colour channel by itself, in deviations. */
  tint: z.number().min(0).max(3).default(0),
  /** Rectangles in which the picture is blank; labels stay. DeVries, Taylor 2017. */
  cutout: z
    .strictObject({
      probability,
      count: z.int().min(1).max(16).default(1),
      /** Longest side, as share of the picture's. */
      side: z.number().gt(0).max(1).default(0.4),
    })
    .prefault({}),
  weather: weather.prefault({}),
});

export type Augmentation = z.infer<typeof augmentation>;
