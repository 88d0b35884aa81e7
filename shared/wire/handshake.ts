/**
 * Mutual authentication of a control connection, by challenge and response with the enrolled ed25519 keys. Both
 * proofs cover both nonces, the federation, the client's name and the protocol version, so a recorded proof is
 * worthless and none can be used by the other side. It does not depend on TLS, which may end at a proxy.
 *
 * client -> coordinator  hello      protocol, federation, client, clientNonce        (in socket.io's `auth`)
 * coordinator -> client  challenge  coordinatorNonce, coordinatorProof
 * client -> coordinator             clientProof                                      (answer to the challenge)
 * coordinator -> client  welcome    a short-lived token for HTTP
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { clientName, sha256Hex } from "../ids.ts";
import { encodeTuple } from "../secagg/encoding.ts";
import { base64Of } from "../secagg/signed.ts";

/** Bytes of each side's nonce. */
export const NONCE_BYTES = 32;

export const hello = z.strictObject({
  protocol: z.int().min(0),
  /** Federation id. */
  federation: sha256Hex,
  client: clientName,
  nonce: base64Of(NONCE_BYTES),
});
export type Hello = z.infer<typeof hello>;

export const challenge = z.strictObject({ nonce: base64Of(NONCE_BYTES), proof: base64Of(64) });
export type Challenge = z.infer<typeof challenge>;

export const challengeAnswer = z.strictObject({ proof: base64Of(64) });

export const bearer = z.strictObject({
  /** For HTTP's Authorization header. */
  token: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  expiresInMs: z.int().min(1),
});
export type Bearer = z.infer<typeof bearer>;

export const failure = z.strictObject({ code: z.string().max(64), message: z.string().max(2_000) });

/** What one side signs; `role` keeps the two proofs apart. Nonces are their base64url text. */
export function handshakeBytes(
  role: "client" | "coordinator",
  heading: Hello,
  coordinatorNonce: string,
  coordinatorKey: string,
): Uint8Array {
  return encodeTuple(
    `allulook/handshake/${role}/v1`,
    heading.protocol,
    hexToBytes(heading.federation),
    heading.client,
    heading.nonce,
    coordinatorNonce,
    hexToBytes(coordinatorKey),
  );
}
