/** `privacy` of federation.yaml: what is protected, by how much noise, and how much may be spent (docs/privacy.md). */
import { z } from "zod";

const shared = {
  /** What the scheduled rounds cost together; the noise follows from it. */
  epsilon: z.number().positive().max(1e6).default(8),
  delta: z.number().min(1e-10).max(0.1).default(1e-5),
  /** Instead of the noise that epsilon asks for: its standard deviation over the clipping norm. */
  noiseMultiplier: z.number().positive().max(1e6).optional(),
  /** What epsilon asks for where noiseMultiplier is left out; never written by hand. */
  noise: z.number().positive().optional(),
  /** No round begins that could cost more in all; epsilon unless given. Failed attempts and void rounds count. */
  budget: z.number().positive().max(1e6).optional(),
  /** Sums of scores on held-out pictures carry no noise: none leave unless this says exact. */
  scores: z.enum(["none", "exact"]).default("none"),
};

const clipNorm = z.number().positive().max(1e6);

/** A clipping norm that follows a quantile of the updates' norms (shared/privacy/adaptive-clip.ts). */
const adaptiveClip = z.strictObject({
  /** Share of the cohort whose updates should be no longer than the norm. */
  quantile: z.number().gt(0).lt(1).default(0.5),
  /** Each round multiplies the norm by e^(rate (quantile - share that was no longer)). */
  rate: z.number().positive().max(2).default(0.2),
  /** Of the first round. */
  from: clipNorm.default(1),
  min: clipNorm.default(0.001),
  max: clipNorm.default(100),
  /** Standard deviation of the noise on the count of those; what follows from cohort and noise unless given. */
  bitNoise: z.number().positive().max(1e6).optional(),
});
export type AdaptiveClip = z.infer<typeof adaptiveClip>;

export const privacy = z.discriminatedUnion("unit", [
  z.strictObject({ unit: z.literal("none") }),
  /** One picture: DP-SGD at the sites, which need trust nobody with it. */
  z.strictObject({
    unit: z.literal("example"),
    ...shared,
    /** L2 norm of one example's gradient. */
    clipNorm: clipNorm.default(1),
    /** A site with fewer training examples takes no part: a step would show too much of each. */
    minExamples: z.int().min(1).default(100),
  }),
  /** A whole site: noise in the sum, by every client under secure aggregation, else by the trusted coordinator. */
  z.strictObject({
    unit: z.literal("client"),
    ...shared,
    /** L2 norm of one client's delta. */
    clipNorm: z.union([clipNorm, z.strictObject({ adaptive: adaptiveClip.prefault({}) })]).default(1),
    /** Survivors that may tell the coordinator what noise they added. */
    colluders: z.int().min(0).max(10_000).default(0),
    /** Sites that the mean is divided by, however many take part; schedule.cohort.min unless given. */
    denominator: z.int().min(1).max(10_000).optional(),
  }),
]);
