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
import type { WordBits, Words } from "./mask.ts";

const CHUNK = 65_536;
const TAG = 16;
const HEAD = 32;
const NOTHING = new Uint8Array(0);

/** Bytes of a sealed vector of `plainLength` bytes. */
export function sealedLength(plainLength: number): number {
  return HEAD + plainLength + TAG * Math.max(1, Math.ceil(plainLength / CHUNK));
}

/** Zeroed words with the room around them that {@link sealVector} needs to seal them where they are. */
export function newSealableWords(bits: WordBits, length: number): Words {
  const Kind = bits === 32 ? Uint32Array : Uint16Array;
  return new Kind(new ArrayBuffer(sealedLength(length * Kind.BYTES_PER_ELEMENT)), HEAD, length);
}

/**
 * Seals bytes from `sender` to the X25519 key of the coordinator, for this session only. Bytes of
 * {@link newSealableWords} are sealed in place and cannot be read afterwards; others stay as they are.
 */
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
  const length = sealedLength(plaintext.length);
  const inPlace = plaintext.byteOffset === HEAD && plaintext.buffer.byteLength === length;
  const out = inPlace ? new Uint8Array(plaintext.buffer) : new Uint8Array(length);
  out.set(ephemeral.publicKey);
  const chunks = Math.max(1, Math.ceil(plaintext.length / CHUNK));
  // From the last to the first: a sealed chunk lies behind every plaintext that is still to be read.
  for (let i = chunks - 1; i >= 0; i--) {
    const chunk = plaintext.subarray(i * CHUNK, (i + 1) * CHUNK);
    const place = out.subarray(HEAD + i * (CHUNK + TAG), HEAD + i * (CHUNK + TAG) + chunk.length + TAG);
    crypto.aeadSealInto(place, key, nonceOf(i, i === chunks - 1), chunk, NOTHING);
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
  return openVectorWith(crypto, sealedVectorKey(crypto, sid, sender, coordinatorKey, sealed), sender, sealed);
}

/** The key of this one vector: with it anyone can open it, and nothing else. Throws SECAGG_KEY_WEAK, WIRE_HASH. */
export function sealedVectorKey(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  coordinatorKey: AgreementKey,
  sealed: Uint8Array,
): Uint8Array {
  plainLength(sender, sealed.length);
  const head = sealed.slice(0, HEAD);
  return keyOf(crypto, sid, sender, coordinatorKey.agree(head), head, coordinatorKey.publicKey);
}

/** As {@link openVector}, by whoever was given the vector's own key. */
export function openVectorWith(crypto: CryptoPort, key: Uint8Array, sender: string, sealed: Uint8Array): Uint8Array {
  const out = new Uint8Array(plainLength(sender, sealed.length));
  const chunks = chunksOf(sender, sealed.length);
  const open = openerWith(crypto, key, sender, chunks);
  for (let i = 0; i < chunks; i++) out.set(open(i, sealedChunk(sealed, i)), i * CHUNK);
  return out;
}

/**
 * The chunks of a sealed vector one after the other, {@link CHUNK} bytes and the rest; each is authentic. Throws as
 * {@link openVector}: what came before a chunk that does not open is no vector.
 */
export function* openChunks(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  coordinatorKey: AgreementKey,
  sealed: Uint8Array,
): Generator<Uint8Array> {
  const chunks = chunksOf(sender, sealed.length);
  const open = opener(crypto, sid, sender, coordinatorKey, sealed.slice(0, HEAD), chunks);
  for (let i = 0; i < chunks; i++) {
    yield open(i, sealedChunk(sealed, i));
  }
}

/** As {@link openChunks}, of bytes that are read front to back. */
export async function* openStream(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  coordinatorKey: AgreementKey,
  sealed: {
    readonly byteLength: number;
    read(at: number, byteLength: number): Promise<Uint8Array> | Uint8Array;
  },
): AsyncGenerator<Uint8Array> {
  const chunks = chunksOf(sender, sealed.byteLength);
  const open = opener(crypto, sid, sender, coordinatorKey, (await sealed.read(0, HEAD)).slice(), chunks);
  for (let i = 0; i < chunks; i++) {
    const at = HEAD + i * (CHUNK + TAG);
    yield open(i, await sealed.read(at, Math.min(CHUNK + TAG, sealed.byteLength - at)));
  }
}

function sealedChunk(sealed: Uint8Array, i: number): Uint8Array {
  return sealed.subarray(HEAD + i * (CHUNK + TAG), HEAD + (i + 1) * (CHUNK + TAG));
}

function chunksOf(sender: string, sealedBytes: number): number {
  return Math.max(1, Math.ceil(plainLength(sender, sealedBytes) / CHUNK));
}

/** Opens the chunk of that number; WIRE_HASH, SECAGG_KEY_WEAK name the sender. */
function opener(
  crypto: CryptoPort,
  sid: string,
  sender: string,
  coordinatorKey: AgreementKey,
  publicKey: Uint8Array,
  chunks: number,
): (chunk: number, sealed: Uint8Array) => Uint8Array {
  const key = keyOf(crypto, sid, sender, coordinatorKey.agree(publicKey), publicKey, coordinatorKey.publicKey);
  return openerWith(crypto, key, sender, chunks);
}

function openerWith(
  crypto: CryptoPort,
  key: Uint8Array,
  sender: string,
  chunks: number,
): (chunk: number, sealed: Uint8Array) => Uint8Array {
  return (chunk, sealed) => {
    const plaintext = crypto.aeadOpen(key, nonceOf(chunk, chunk === chunks - 1), sealed, NOTHING);
    if (!plaintext) throw unreadable(sender);
    return plaintext;
  };
}

function plainLength(sender: string, sealedBytes: number): number {
  const body = sealedBytes - HEAD;
  const length = body - Math.ceil(body / (CHUNK + TAG)) * TAG;
  if (length < 0 || sealedBytes !== sealedLength(length)) throw unreadable(sender);
  return length;
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
