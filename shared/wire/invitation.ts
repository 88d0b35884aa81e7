/**
 * An invitation as one line of text that the operator hands to a site: where the coordinator is, whose keys to pin,
 * and a secret that can be used once. What a site signs to prove that it holds the key it enrols.
 */
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { CodedError } from "../errors.ts";
import { clientName, sha256Hex, type ClientName } from "../ids.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "../secagg/encoding.ts";
import { base64Of } from "../secagg/signed.ts";

const PREFIX = "allulook1.";

const invitation = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).max(256),
  /** The federation's name; its id follows from it and the authority's key. */
  federation: z.string().min(1).max(64),
  client: clientName,
  /** ed25519 public keys, hex. */
  coordinatorKey: sha256Hex,
  authorityKey: sha256Hex,
  secret: base64Of(32),
});
export type Invitation = z.infer<typeof invitation>;

/** The one line that an operator gives to a site. */
export function encodeInvitation(content: Invitation): string {
  return PREFIX + toBase64(utf8ToBytes(JSON.stringify(content)));
}

/** Throws TOKEN_INVALID for a line that was not copied whole. */
export function decodeInvitation(line: string): Invitation {
  const text = line.trim();
  const bytes = text.startsWith(PREFIX) ? fromBase64(text.slice(PREFIX.length)) : null;
  let value: unknown = null;
  try {
    value = bytes === null ? null : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    value = null;
  }
  const parsed = invitation.safeParse(value);
  if (!parsed.success) {
    throw new CodedError("TOKEN_INVALID", `expected one line that begins with ${PREFIX}, copied whole`);
  }
  return parsed.data;
}

/** Under which a coordinator keeps an invitation: the secret itself is never stored. */
export function invitationHash(crypto: CryptoPort, secret: string): string {
  return bytesToHex(crypto.sha256(encodeTuple("allulook/invitation/v1", secret)));
}

/** What a joining site signs with the key it enrols. */
export function joinBytes(secret: string, name: ClientName, signingKey: string): Uint8Array {
  return encodeTuple("allulook/join/v1", secret, name, hexToBytes(signingKey));
}
