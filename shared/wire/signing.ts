/** Signatures of the coordinator over `begin` and `ended`: Ed25519, base64url, over type and canonical JSON. */
import { canonicalJson } from "../canonical.ts";
import type { CryptoPort, SigningKey } from "../secagg/crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "../secagg/encoding.ts";
import type { CoordinatorMessage } from "./messages.ts";

export type SignedMessage = Extract<CoordinatorMessage, { type: "begin" | "ended" }>;
type Unsigned<M> = M extends SignedMessage ? Omit<M, "signature"> : never;
export type UnsignedMessage = Unsigned<SignedMessage>;

function signedBytes(message: UnsignedMessage): Uint8Array {
  return encodeTuple(`allulook/${message.type}/v1`, canonicalJson(message));
}

/** The value of the message's `signature`. */
export function messageSignature(key: SigningKey, message: UnsignedMessage): string {
  return toBase64(key.sign(signedBytes(message)));
}

/** True when the coordinator signed exactly this message. */
export function isSignedBy(crypto: CryptoPort, coordinatorKey: Uint8Array, message: SignedMessage): boolean {
  const { signature, ...fields } = message;
  const bytes = fromBase64(signature);
  return bytes !== null && crypto.verify(coordinatorKey, signedBytes(fields), bytes);
}
