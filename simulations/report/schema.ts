/** report.json: what `simulate`, `demo` and `train` say they did. Fields that may be absent are additions to the fixed ones. */
import { z } from "zod";
import { sha256Hex } from "../../shared/ids.ts";
import { drops, metrics } from "../../shared/release/scores.ts";

const count = z.int().min(0);
const seconds = z.number().min(0);
const reason = z.strictObject({ code: z.string(), message: z.string() });

const roundEntry = z.strictObject({
  /** 0 is the model before any training. */
  round: count,
  status: z.enum(["completed", "failed"]),
  attempts: count,
  cohort: count,
  survivors: count,
  /** Clients whose statistics are in the metrics. */
  evaluated: count,
  /** Samples the survivors hold. */
  examples: count,
  /** Samples processed by training. */
  examplesSeen: count,
  /** Mean training loss; null where nothing was trained. */
  loss: z.number().nullable(),
  /** Only heads with labels in the evaluation data appear. */
  metrics,
  seconds: z.strictObject({
    total: seconds,
    train: seconds,
    secureAggregation: seconds,
    aggregate: seconds,
    evaluate: seconds,
    release: seconds,
  }),
  bytes: z.strictObject({ upload: count, download: count }),
  /** L2 norm of the mean delta. */
  deltaNorm: z.number().min(0).nullable().optional(),
  /** Share of coordinates that clipping changed. */
  clippedShare: z.number().min(0).max(1).nullable().optional(),
  /** To which updates were clipped, where the norm adapts. */
  clipNorm: z.number().positive().optional(),
  /** Spent by all rounds so far, failed ones included. */
  epsilon: z.number().min(0).nullable().optional(),
  excluded: z.array(z.strictObject({ client: z.string(), code: z.string(), message: z.string() })).optional(),
  reason: reason.nullable().optional(),
});
export type RoundEntry = z.infer<typeof roundEntry>;

const releaseEntry = z.strictObject({
  version: count,
  /** Hash of the canonical param bytes. */
  sha256: sha256Hex,
  parentSha256: sha256Hex.nullable(),
  dtype: z.enum(["int8", "fp16", "fp32"]),
  /** Size of model/, and that of the same folder in fp32. */
  sizeBytes: count,
  updateBytes: count,
  fp32SizeBytes: count,
  /** Differences of mIoU, mAP, delta1 and accuracy; null where unevaluated. */
  accuracyDrop: drops,
  /** Whether the drops were scored, or estimated after fallbacks were added. */
  evaluation: z.enum(["measured", "predicted", "unevaluated"]).optional(),
  fallbacks: count.optional(),
});
export type ReleaseEntry = z.infer<typeof releaseEntry>;

export const report = z.strictObject({
  schema: z.literal(1),
  seed: count,
  engine: z.enum(["tensorflow", "wasm", "cpu"]),
  model: z.strictObject({ name: z.string(), preset: z.string(), params: count }),
  secureAggregation: z.enum(["malicious", "semi-honest", "off"]),
  threads: z.int().min(1),
  privacy: z.strictObject({
    unit: z.enum(["client", "example", "none"]),
    epsilon: z.number().nullable(),
    delta: z.number().nullable(),
  }),
  rounds: z.array(roundEntry),
  /** Null when no round was completed. */
  release: releaseEntry.nullable(),
  /** The newest version on each client's own evaluation data, with what that client keeps for itself. */
  sites: z.array(z.strictObject({ site: z.string(), samples: count, metrics })).optional(),
  /** What was trained on; `generated` data is no real data, and is labelled so. */
  data: z.strictObject({ name: z.string(), generated: z.boolean(), evaluation: z.string() }).optional(),
});
export type Report = z.infer<typeof report>;
