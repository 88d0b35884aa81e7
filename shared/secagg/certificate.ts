/**
 * Membership: the federation's authority key signs a certificate for every client, and the list of those
 * revoked. A coordinator without that key cannot invent clients.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { CodedError } from "../errors.ts";
import { clientName, sha256Hex } from "../ids.ts";
import type { CryptoPort, SigningKey } from "./crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "./encoding.ts";
import { base64Of } from "./signed.ts";

const serial = z.string().regex(/^[0-9a-f]{16}$/, "16 lower-case hexadecimal digits");

export const certificate = z.strictObject({
  federation: sha256Hex,
  name: clientName,
  /** The client's Ed25519 signing key. */
  key: base64Of(32),
  /** Milliseconds since 1970. */
  issuedAt: z.int().min(0),
  expiresAt: z.int().min(0),
  /** Chosen at random by the authority. */
  serial,
  signature: base64Of(64),
});
export type Certificate = z.infer<typeof certificate>;

export const revocationList = z.strictObject({
  federation: sha256Hex,
  /** Grows with every list; a client keeps the highest it saw. */
  version: z.int().min(0),
  serials: z.array(serial).max(100_000),
  signature: base64Of(64),
});
export type RevocationList = z.infer<typeof revocationList>;

function certificateBytes(c: Omit<Certificate, "signature">): Uint8Array {
  const federation = hexToBytes(c.federation);
  return encodeTuple("allulook/certificate/v1", federation, c.name, c.key, c.issuedAt, c.expiresAt, c.serial);
}

function listBytes(list: Omit<RevocationList, "signature">): Uint8Array {
  return encodeTuple("allulook/revocations/v1", hexToBytes(list.federation), list.version, ...list.serials);
}

/** Signs a membership with the authority's key. */
export function issueCertificate(authority: SigningKey, fields: Omit<Certificate, "signature">): Certificate {
  return { ...fields, signature: toBase64(authority.sign(certificateBytes(fields))) };
}

/** Signs the list of revoked serials with the authority's key. */
export function issueRevocationList(authority: SigningKey, fields: Omit<RevocationList, "signature">): RevocationList {
  return { ...fields, signature: toBase64(authority.sign(listBytes(fields))) };
}

/** What a party holds about its federation to judge a certificate by. */
export interface Trust {
  /** The federation's id. */
  readonly federation: string;
  readonly authorityKey: Uint8Array;
  /** Serials of the newest list that verified. */
  readonly revoked: ReadonlySet<string>;
}

/**
 * Checks a certificate and returns the client's signing key.
 * CERTIFICATE_INVALID (signature or federation), CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED; details name the client.
 */
export function verifyCertificate(crypto: CryptoPort, trust: Trust, c: Certificate, nowMs: number): Uint8Array {
  const details = { client: c.name, serial: c.serial };
  if (c.federation !== trust.federation) {
    throw new CodedError("CERTIFICATE_INVALID", `the certificate of ${c.name} is for another federation`, details);
  }
  const signature = fromBase64(c.signature);
  const key = fromBase64(c.key);
  if (signature === null || key === null || !crypto.verify(trust.authorityKey, certificateBytes(c), signature)) {
    throw new CodedError("CERTIFICATE_INVALID", `the certificate of ${c.name} is not signed by the authority`, details);
  }
  if (nowMs >= c.expiresAt) {
    throw new CodedError(
      "CERTIFICATE_EXPIRED",
      `the certificate of ${c.name} expired at ${isoTime(c.expiresAt)}`,
      details,
    );
  }
  if (trust.revoked.has(c.serial)) {
    throw new CodedError("CERTIFICATE_REVOKED", `the certificate of ${c.name} was revoked`, details);
  }
  return key;
}

const RENEW_BEFORE_MS = 30 * 86_400_000;

/** Whether it should be signed anew: within 30 days of its end, or the last third of a shorter time. */
export function endsSoon({ issuedAt, expiresAt }: Certificate, nowMs: number): boolean {
  return expiresAt - nowMs < Math.min(RENEW_BEFORE_MS, (expiresAt - issuedAt) / 3);
}

/** Checks a revocation list and returns its serials; throws CERTIFICATE_INVALID. */
export function verifyRevocationList(
  crypto: CryptoPort,
  federation: string,
  authorityKey: Uint8Array,
  list: RevocationList,
): ReadonlySet<string> {
  const signature = fromBase64(list.signature);
  const valid =
    list.federation === federation && signature !== null && crypto.verify(authorityKey, listBytes(list), signature);
  if (!valid) throw new CodedError("CERTIFICATE_INVALID", "the revocation list is not signed by the authority");
  return new Set(list.serials);
}

function isoTime(ms: number): string {
  return ms < 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`;
}
