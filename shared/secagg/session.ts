/**
 * The session id ties every signature, key and mask to one attempt of one round of one federation, and to
 * the transcript before it: a view that was split in one round breaks the next.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import type { CryptoPort } from "./crypto-port.ts";
import { encodeTuple } from "./encoding.ts";

/** SHA-256 as 64 lower-case hexadecimal digits. */
export const hashHex = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits");

export const purpose = z.enum(["training", "evaluation"]);
export type Purpose = z.infer<typeof purpose>;

export const sessionContext = z.strictObject({
  /** {@link federationId} */
  federation: hashHex,
  purpose,
  round: z.int().min(0),
  attempt: z.int().min(0),
  /** Hash of the parent's canonical param bytes. */
  parentHash: hashHex,
  configHash: hashHex,
  /** Of the round before; {@link NO_TRANSCRIPT} in the first. */
  previousTranscriptDigest: hashHex,
});
export type SessionContext = z.infer<typeof sessionContext>;

export const NO_TRANSCRIPT = "0".repeat(64);

/** SHA-256 of name and authority key: the same name under another authority is another federation. */
export function federationId(crypto: CryptoPort, name: string, authorityKey: Uint8Array): string {
  return bytesToHex(crypto.sha256(encodeTuple("allulook/federation/v1", name, authorityKey)));
}

/** The session id, 64 hexadecimal digits. */
export function sessionId(crypto: CryptoPort, context: SessionContext): string {
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
      ),
    ),
  );
}

/** A context with its id worked out, as the steps of one attempt pass it around. */
export interface Session extends SessionContext {
  readonly sid: string;
}

export function openSession(crypto: CryptoPort, context: SessionContext): Session {
  return { ...context, sid: sessionId(crypto, context) };
}
