/** The chain of versions: R_t = R_(t-1) + dequantize(update), with keyframes for newcomers; and what a release signs. */
import { z } from "zod";
import { sha256Hex } from "../ids.ts";

const blob = z.strictObject({ sha256: sha256Hex, bytes: z.int().min(0) });
export type BlobRef = z.infer<typeof blob>;

/** One committed version, signed by the coordinator over the canonical JSON of the other fields. */
export const chainLink = z.strictObject({
  federation: sha256Hex,
  version: z.int().min(0),
  parentHash: sha256Hex.nullable(),
  /** Hash of R's canonical bytes: the sha256 that reproducibility speaks of. */
  paramsHash: sha256Hex,
  configHash: sha256Hex,
  update: blob.nullable(),
  keyframe: blob.nullable(),
  /** Tensors that `model/` stores more exactly than the release's dtype: fixed here, so that all score the same model. */
  fallbacks: z
    .array(z.strictObject({ tensor: z.string().min(1).max(256), dtype: z.enum(["fp16", "fp32"]) }))
    .max(10_000),
  /** Ed25519 over the other fields (`shared/release/link.ts`), base64url. */
  signature: z.string().max(128),
});
export type ChainLink = z.infer<typeof chainLink>;
