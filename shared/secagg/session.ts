/**
 * The session id ties every signature, key and mask to one attempt of one round of one federation, and to
 * the transcript before it: a view that was split in one round breaks the next.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { purpose, sha256Hex, type Sha256 } from "../ids.ts";
import type { CryptoPort } from "./crypto-port.ts";
import { encodeTuple } from "./encoding.ts";

export const sessionContext = z.strictObject({
  /** {@link federationId} */
  federation: sha256Hex,
  purpose,
  round: z.int().min(0),
  attempt: z.int().min(0),
  /** Hash of the parent's canonical param bytes. */
  parentHash: sha256Hex,
  configHash: sha256Hex,
  /** Of the round before; {@link NO_TRANSCRIPT} in the first. */
  previousTranscriptDigest: sha256Hex,
  /** To which updates are clipped in this round, where the plan lets it adapt. */
  clipNorm: z.number().positive().optional(),
  /** Commitment to the noise that a trusted coordinator will add (shared/privacy/committed-noise.ts). */
  noise: sha256Hex.optional(),
});
export type SessionContext = z.infer<typeof sessionContext>;

export const NO_TRANSCRIPT = "0".repeat(64) as Sha256;

/** SHA-256 of name and authority key: the same name under another authority is another federation. */
export function federationId(crypto: CryptoPort, name: string, authorityKey: Uint8Array): Sha256 {
  return bytesToHex(crypto.sha256(encodeTuple("allulook/federation/v1", name, authorityKey))) as Sha256;
}

/** The session id, 64 hexadecimal digits. */
export function sessionId(crypto: CryptoPort, context: SessionContext): Sha256 {
  return bytesToHex(
    crypto.sha256(
      encodeTuple(
        "allulook/session/v1",
        hexToBytes(context.federation),
        context.purpose,
        context.round,
        context.attempt,
        hexToBytes(context.parentHash),
        hexToBytes(context.configHash),
        hexToBytes(context.previousTranscriptDigest),
        // As text, which a float64 has one of.
        ...(context.clipNorm === undefined ? [] : ["clipNorm", String(context.clipNorm)]),
        ...(context.noise === undefined ? [] : ["noise", hexToBytes(context.noise)]),
      ),
    ),
  ) as Sha256;
}

/** A context with its id worked out, as the steps of one attempt pass it around. */
export interface Session extends SessionContext {
  readonly sid: Sha256;
}

/** The session of this context, with its id. */
export function openSession(crypto: CryptoPort, context: SessionContext): Session {
  return { ...context, sid: sessionId(crypto, context) };
}
