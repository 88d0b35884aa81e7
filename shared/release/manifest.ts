/**
 * `manifest.json`: what a release is and holds, signed by the coordinator. It stands as canonical JSON and must be
 * read back to the same bytes, so that no change to it goes unseen, not even one of white space. No clock enters it.
 */
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import { sha256Hex } from "../ids.ts";
import type { SigningKey } from "../secagg/crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "../secagg/encoding.ts";
import { chainLink } from "../wire/release.ts";
import type { ReleaseCrypto } from "./ports.ts";
import { drops, metrics } from "./scores.ts";

export const MANIFEST_PATH = "manifest.json";
export const UPDATE_PATH = "update/update.bin.br";
export const KEYFRAME_PATH = "keyframe/keyframe.bin.br";

const dtype = z.enum(["int8", "fp16", "fp32"]);
/** Inside the release folder, no way out of it. */
const path = z
  .string()
  .regex(/^(model|update|keyframe)\/[a-z0-9][a-z0-9.-]{0,63}$/, "a file in model/, update/ or keyframe/");
const releaseFile = z.strictObject({ path, sha256: sha256Hex, bytes: z.int().min(0) });

const counts = z.strictObject({
  cohort: z.int().min(0),
  survivors: z.int().min(0),
  evaluated: z.int().min(0),
  /** Samples the survivors hold. */
  examples: z.int().min(0),
});
export type ReleaseCounts = z.infer<typeof counts>;

const model = z.strictObject({
  builder: z.string().max(64),
  preset: z.string().max(64),
  dtype,
  fallbacks: chainLink.shape.fallbacks,
  /** Size of model/, and that of the same folder in fp32. */
  sizeBytes: z.int().min(0),
  fp32SizeBytes: z.int().min(0),
  /** Of a model of one's own, apart from both sizes: what describes it. */
  topologyBytes: z.int().min(0).optional(),
  /** Of a model whose frozen or personal params come from another release, apart from both sizes: those weights. */
  baseBytes: z.int().min(0).optional(),
});

const manifest = z.strictObject({
  format: z.literal(1),
  federation: sha256Hex,
  name: z.string().max(64),
  version: z.int().min(0),
  round: z.int().min(0),
  /** Hash of the parent version's R; null for version 0. */
  parentHash: sha256Hex.nullable(),
  /** Hash of R's canonical bytes. */
  paramsHash: sha256Hex,
  params: z
    .int()
    .min(0)
    .max(2 ** 29),
  layoutHash: sha256Hex,
  configHash: sha256Hex,
  counts,
  /** Scores of R; empty when unevaluated. */
  metrics,
  /** measured: scored on evaluation data. predicted: fallbacks were added after scoring, and the drop estimated. */
  evaluation: z.enum(["measured", "predicted", "unevaluated"]),
  drops,
  /** Null when this version ships its update alone. */
  model: model.nullable(),
  updateBytes: z.int().min(0),
  files: z.array(releaseFile).max(64),
  /** The coordinator's ed25519 key. */
  signedBy: sha256Hex,
  signature: z.string().max(128),
});
export type Manifest = z.infer<typeof manifest>;
export type UnsignedManifest = Omit<Manifest, "signature" | "signedBy">;

function signedBytes(fields: Omit<Manifest, "signature">): Uint8Array {
  return encodeTuple("allulook/manifest/v1", canonicalJson(fields));
}

/** The bytes of manifest.json. */
export function signManifest(key: SigningKey, fields: UnsignedManifest): { manifest: Manifest; bytes: Uint8Array } {
  const unsigned = { ...fields, signedBy: bytesToHex(key.publicKey) as Manifest["signedBy"] };
  const signed: Manifest = { ...unsigned, signature: toBase64(key.sign(signedBytes(unsigned))) };
  return { manifest: signed, bytes: utf8ToBytes(canonicalJson(signed)) };
}

/**
 * Reads and checks manifest.json. `trustedKey` null: any key, and the caller shows it to a person.
 * Throws RELEASE_MANIFEST, RELEASE_SIGNATURE.
 */
export function readManifest(crypto: ReleaseCrypto, bytes: Uint8Array, trustedKey: Uint8Array | null): Manifest {
  const fields = parse(bytes);
  if (trustedKey !== null && bytesToHex(trustedKey) !== fields.signedBy) {
    throw new CodedError("RELEASE_SIGNATURE", "the release is signed by another key than the one given", {
      expected: bytesToHex(trustedKey),
      got: fields.signedBy,
    });
  }
  const { signature, ...unsigned } = fields;
  const signatureBytes = fromBase64(signature);
  if (signatureBytes === null || !crypto.verify(hexToBytes(fields.signedBy), signedBytes(unsigned), signatureBytes)) {
    throw new CodedError("RELEASE_SIGNATURE", "the signature of manifest.json does not fit its content");
  }
  return fields;
}

function parse(bytes: Uint8Array): Manifest {
  let value: unknown;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new CodedError("RELEASE_MANIFEST", "manifest.json is not JSON");
  }
  const parsed = manifest.safeParse(value);
  if (!parsed.success) {
    throw new CodedError("RELEASE_MANIFEST", `manifest.json breaks its format: ${z.prettifyError(parsed.error)}`);
  }
  if (canonicalJson(parsed.data) !== text)
    throw new CodedError("RELEASE_MANIFEST", "manifest.json is not canonical JSON");
  return parsed.data;
}
