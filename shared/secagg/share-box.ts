/**
 * The share one client makes for another: boxed (NaCl's box: X25519, HSalsa20, XSalsa20-Poly1305) and committed to.
 * Payload of a `share` statement, base64url of
 *   to another client: nonce (24) | box (16 + 96) | commitment to the share of b (32) | to the share of s (32)
 *   to itself:         commitment to its own share of b (32)
 * Boxed plaintext: SHA-256 of (sid, from, to) | share of b (32) | share of s (32).
 */
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import nacl from "tweetnacl";
import { CodedError } from "../errors.ts";
import type { SecureRng } from "../rng/secure.ts";
import type { CryptoPort } from "./crypto-port.ts";
import { encodeTuple, equalBytes, fromBase64, toBase64 } from "./encoding.ts";

export type SecretKind = "self-mask" | "mask-key";

/** tweetnacl offers HSalsa20, but its types do not say so. */
const { lowlevel } = nacl as unknown as {
  lowlevel: {
    crypto_core_hsalsa20(out: Uint8Array, input: Uint8Array, key: Uint8Array, constant: Uint8Array): void;
  };
};

/** Commits an owner to what it gave a holder: a false share revealed later names its author. */
export function commitToShare(
  crypto: CryptoPort,
  sid: string,
  kind: SecretKind,
  owner: string,
  holder: string,
  share: Uint8Array,
): Uint8Array {
  return crypto.sha256(encodeTuple("allulook/share/v1", hexToBytes(sid), kind, owner, holder, share));
}

/** Advertised with the keys; what the coordinator reconstructs is checked against it. */
export function commitToSelfMask(crypto: CryptoPort, sid: string, owner: string, seed: Uint8Array): Uint8Array {
  return crypto.sha256(encodeTuple("allulook/self-mask-seed/v1", hexToBytes(sid), owner, seed));
}

/** NaCl's box key of an X25519 shared secret. */
export function boxKeyOf(sharedSecret: Uint8Array): Uint8Array {
  const key = new Uint8Array(32);
  lowlevel.crypto_core_hsalsa20(key, new Uint8Array(16), sharedSecret, utf8ToBytes("expand 32-byte k"));
  return key;
}

/** What everyone may see of a share statement. */
export interface ShareCommitments {
  readonly selfMask: Uint8Array;
  /** Null in the statement a client makes for itself: it never holds a share of its own s. */
  readonly maskKey: Uint8Array | null;
}

interface Route {
  readonly sid: string;
  readonly from: string;
  readonly to: string;
}

/** The payload for another client. `boxKey` is {@link boxKeyOf} the two clients. */
export function sealShares(
  crypto: CryptoPort,
  random: SecureRng,
  boxKey: Uint8Array,
  route: Route,
  selfMaskShare: Uint8Array,
  maskKeyShare: Uint8Array,
): string {
  const { sid, from, to } = route;
  const nonce = random.bytes(nacl.secretbox.nonceLength);
  const plaintext = concatBytes(routeBytes(crypto, route), selfMaskShare, maskKeyShare);
  const box = nacl.secretbox(plaintext, nonce, boxKey);
  plaintext.fill(0);
  return toBase64(
    concatBytes(
      nonce,
      box,
      commitToShare(crypto, sid, "self-mask", from, to, selfMaskShare),
      commitToShare(crypto, sid, "mask-key", from, to, maskKeyShare),
    ),
  );
}

/** The payload a client signs for its own share of b. */
export function commitToOwnShare(crypto: CryptoPort, sid: string, name: string, share: Uint8Array): string {
  return toBase64(commitToShare(crypto, sid, "self-mask", name, name, share));
}

const NONCE = 24;
const BOX = 16 + 96;

/** Bytes of the payload for another client. */
export const SHARE_BYTES = NONCE + BOX + 64;
/** Of the payload that a client signs for itself. */
const OWN_BYTES = 32;

/** The bytes of a payload; throws WIRE_INVALID naming the author. */
export function shareBytes(from: string, to: string, payload: string): Uint8Array {
  const bytes = fromBase64(payload);
  const length = from === to ? OWN_BYTES : SHARE_BYTES;
  if (bytes?.length === length) return bytes;
  throw new CodedError("WIRE_INVALID", `share of ${from} for ${to}: expected ${length} bytes of base64url`, {
    client: from,
    step: "share",
  });
}

/** What everyone may see in the bytes of a payload. */
export function commitmentsIn(bytes: Uint8Array): ShareCommitments {
  if (bytes.length === OWN_BYTES) return { selfMask: bytes, maskKey: null };
  const at = NONCE + BOX;
  return { selfMask: bytes.subarray(at, at + 32), maskKey: bytes.subarray(at + 32) };
}

/** Opens a share; throws SECAGG_SHARE_FALSE naming its author when box, route or commitment is wrong. */
export function openShares(
  crypto: CryptoPort,
  boxKey: Uint8Array,
  route: Route,
  payload: string,
): { selfMask: Uint8Array; maskKey: Uint8Array } {
  const { sid, from, to } = route;
  const bytes = shareBytes(from, to, payload);
  const commitments = commitmentsIn(bytes);
  const [nonce, box] = [bytes.subarray(0, NONCE), bytes.subarray(NONCE, NONCE + BOX)];
  const plaintext = from === to ? null : nacl.secretbox.open(box, nonce, boxKey);
  if (!plaintext) throw falseShare(from, "its box does not open");
  if (!equalBytes(plaintext.subarray(0, 32), routeBytes(crypto, route))) {
    throw falseShare(from, "it was made for another session, sender or recipient");
  }
  const selfMask = plaintext.slice(32, 64);
  const maskKey = plaintext.slice(64, 96);
  plaintext.fill(0);
  const honest =
    equalBytes(commitToShare(crypto, sid, "self-mask", from, to, selfMask), commitments.selfMask) &&
    equalBytes(commitToShare(crypto, sid, "mask-key", from, to, maskKey), commitments.maskKey as Uint8Array);
  if (!honest) throw falseShare(from, "it differs from what was committed to");
  return { selfMask, maskKey };
}

function routeBytes(crypto: CryptoPort, { sid, from, to }: Route): Uint8Array {
  return crypto.sha256(encodeTuple("allulook/share-route/v1", hexToBytes(sid), from, to));
}

function falseShare(client: string, why: string): CodedError {
  return new CodedError("SECAGG_SHARE_FALSE", `the share of ${client} is false: ${why}`, { client });
}
