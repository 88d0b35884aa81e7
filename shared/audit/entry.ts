/**
 * The audit log: one line of canonical JSON for every administrative and protocol act, each with the SHA-256 of the line
 * before it, and at the end of every round a checkpoint that its owner has signed. Pure; `shared/node/audit-file.ts` writes.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson, hashOfText } from "../canonical.ts";
import { sha256Hex, type Sha256 } from "../ids.ts";
import type { CryptoPort, SigningKey } from "../secagg/crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "../secagg/encoding.ts";
import { base64Of } from "../secagg/signed.ts";

/** Before the first line. */
export const NOTHING_BEFORE = "0".repeat(64) as Sha256;

export const auditEntry = z.strictObject({
  /** From 1. */
  n: z.int().min(1),
  /** ISO 8601, UTC. */
  at: z.iso.datetime(),
  act: z.string().min(1).max(64),
  facts: z.record(z.string(), z.unknown()),
  /** SHA-256 of the line before, without its end. */
  previous: sha256Hex,
});
export type AuditEntry = z.infer<typeof auditEntry>;

/** What somebody did. */
export interface Act {
  readonly act: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Writes acts down; durable when resolved. */
export type Audit = (...acts: readonly Act[]) => Promise<void>;

export const CHECKPOINT = "checkpoint";
const checkpointFacts = z.strictObject({ key: sha256Hex, signature: base64Of(64) });

/** The line of an act, without its end. */
export function lineOf(n: number, at: string, { act, facts }: Act, previous: Sha256): string {
  return canonicalJson({ n, at, act, facts, previous });
}

export function hashOfLine(line: string): Sha256 {
  return hashOfText(line);
}

function checkpointBytes(n: number, previous: Sha256): Uint8Array {
  return encodeTuple("allulook/audit/v1", n, hexToBytes(previous));
}

/** Signs everything before line `n`. */
export function checkpoint(key: SigningKey, n: number, previous: Sha256): Act {
  const hex = Array.from(key.publicKey, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { act: CHECKPOINT, facts: { key: hex, signature: toBase64(key.sign(checkpointBytes(n, previous))) } };
}

/** The key that signed a checkpoint; null where the signature is not valid. */
export function signerOf(crypto: CryptoPort, { n, previous, facts }: AuditEntry): Sha256 | null {
  const parsed = checkpointFacts.safeParse(facts);
  if (!parsed.success) return null;
  const { key, signature } = parsed.data;
  const bytes = fromBase64(signature);
  return bytes !== null && crypto.verify(hexToBytes(key), checkpointBytes(n, previous), bytes) ? key : null;
}
