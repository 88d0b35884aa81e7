/**
 * A vector for a trusted coordinator (secureAggregation: off), sealed to its identity (`box-key.ts`) so that only it can
 * read it.
 * Layout: ephemeral public key (32) | chunks of 65,536 bytes plaintext, each AES-256-GCM with its tag (16).
 * Key = HKDF-SHA256(X25519, salt = sid, info = both public keys and the sender's name); the nonce is the chunk's number
 * and whether it is the last (the STREAM construction: chunks cannot be reordered, dropped or cut off).
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { CodedError } from "../errors.ts";
import type { SecureRng } from "../rng/secure.ts";
import type { AgreementKey, CryptoPort } from "./crypto-port.ts";
import { encodeTuple } from "./encoding.ts";

const CHUNK = 65_536;
const TAG = 16;
const HEAD = 32;
const NOTHING = new Uint8Array(0);

/** Bytes of a sealed vector of `plainLength` bytes. */
export function sealedLength(plainLength: number): number {
  return HEAD + plainLength + TAG * Math.max(1, Math.ceil(plainLength / CHUNK));
}

/** Seals bytes from `sender` to the X25519 key of the coordinator, for this session only. */
export function sealVector(
  crypto: CryptoPort,
  random: SecureRng,
  sid: string,
  sender: string,
  coordinatorKey: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const secret = random.bytes(32);
  const ephemeral = crypto.agreementKey(secret);
  secret.fill(0);
  const key = keyOf(crypto, sid, sender, ephemeral.agree(coordinatorKey), ephemeral.publicKey, coordinatorKey);
  const out = new Uint8Array(sealedLength(plaintext.length));
  out.set(ephemeral.publicKey);
  const chunks = Math.max(1, Math.ceil(plaintext.length / CHUNK));
  for (let i = 0; i < chunks; i++) {
    const chunk = plaintext.subarray(i * CHUNK, (i + 1) * CHUNK);
    out.set(crypto.aeadSeal(key, nonceOf(i, i === chunks - 1), chunk, NOTHING), HEAD + i * (CHUNK + TAG));
  }
  return out;
}

/** Opens a sealed vector; throws WIRE_HASH naming the sender when any byte was changed or it is not for this session. */
export function openVector(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  coordinatorKey: AgreementKey,
  sealed: Uint8Array,
): Uint8Array {
  const body = sealed.subarray(HEAD);
  const chunks = Math.ceil(body.length / (CHUNK + TAG));
  const length = body.length - chunks * TAG;
  if (length < 0 || sealed.length !== sealedLength(length)) throw unreadable(sender);
  const publicKey = sealed.slice(0, HEAD);
  const key = keyOf(crypto, sid, sender, coordinatorKey.agree(publicKey), publicKey, coordinatorKey.publicKey);
  const out = new Uint8Array(length);
  for (let i = 0; i < chunks; i++) {
    const chunk = body.subarray(i * (CHUNK + TAG), (i + 1) * (CHUNK + TAG));
    const plaintext = crypto.aeadOpen(key, nonceOf(i, i === chunks - 1), chunk, NOTHING);
    if (!plaintext) throw unreadable(sender);
    out.set(plaintext, i * CHUNK);
  }
  return out;
}

function keyOf(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  shared: Uint8Array | null,
  ephemeral: Uint8Array,
  coordinator: Uint8Array,
): Uint8Array {
  if (!shared) throw new CodedError("SECAGG_KEY_WEAK", `the key of ${sender} is of low order`, { client: sender });
  const info = encodeTuple("allulook/sealed-vector/v1", sender, ephemeral, coordinator);
  return crypto.hkdfSha256(shared, hexToBytes(sid), info, 32);
}

function nonceOf(chunk: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(0, chunk);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

function unreadable(client: string): CodedError {
  return new CodedError("WIRE_HASH", `the sealed vector of ${client} does not open`, { client });
}
