/** Bytes of the protocol: an injective encoding of tuples, base64url without padding, and the order of names. */
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

/**
 * Injective: each part is a type byte, its length (4 bytes, big-endian) and its bytes, so two different tuples
 * never have the same encoding. Numbers are non-negative safe integers, 8 bytes big-endian.
 */
export function encodeTuple(...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (const part of parts) {
    const [type, bytes] =
      typeof part === "string" ? [1, utf8ToBytes(part)] : typeof part === "number" ? [2, bigEndian(part)] : [3, part];
    const head = new Uint8Array(5);
    head[0] = type;
    new DataView(head.buffer).setUint32(1, bytes.length);
    chunks.push(head, bytes);
  }
  return concatBytes(...chunks);
}

function bigEndian(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a non-negative safe integer: ${value}`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES = new Map([...ALPHABET].map((character, value) => [character, value]));

/** Base64url without padding (RFC 4648, section 5). */
export function toBase64(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out += (ALPHABET[word >> 18] as string) + ALPHABET[(word >> 12) & 63];
    if (left > 1) out += ALPHABET[(word >> 6) & 63];
    if (left > 2) out += ALPHABET[word & 63];
  }
  return out;
}

/** The bytes, or null when the text is not the one canonical encoding of any. */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const character of text) {
    const value = VALUES.get(character);
    if (value === undefined) return null;
    held = (held << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (held >> bits) & 255;
      held &= (1 << bits) - 1;
    }
  }
  return held === 0 ? out : null;
}

/** The order of client names everywhere in the protocol: by code unit. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}
