/** Bytes of the protocol: an injective encoding of tuples, base64url without padding, and the order of names. */
/**
 * Injective: each part is a type byte, its length (4 bytes, big-endian) and its bytes, so two different tuples
 * never have the same encoding. Numbers are non-negative safe integers, 8 bytes big-endian.
 */
export function encodeTuple(...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  let length = 5 * parts.length;
  for (const part of parts) length += typeof part === "number" ? 8 : part.length;
  let out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string | number | Uint8Array;
    if (typeof part === "number") {
      head(out, at, 2, 8);
      writeNumber(out, at + 5, part);
      at += 13;
    } else if (typeof part === "string") {
      if (!writeAscii(out, at + 5, part)) {
        const bytes = UTF8.encode(part);
        const longer = new Uint8Array(out.length + bytes.length - part.length);
        longer.set(out.subarray(0, at));
        longer.set(bytes, at + 5);
        out = longer;
        head(out, at, 1, bytes.length);
        at += 5 + bytes.length;
      } else {
        head(out, at, 1, part.length);
        at += 5 + part.length;
      }
    } else {
      head(out, at, 3, part.length);
      out.set(part, at + 5);
      at += 5 + part.length;
    }
  }
  return out;
}

const UTF8 = new TextEncoder();

/** Type and length of a part. */
function head(out: Uint8Array, at: number, type: 1 | 2 | 3, length: number): void {
  out[at] = type;
  out[at + 1] = length >>> 24;
  out[at + 2] = length >>> 16;
  out[at + 3] = length >>> 8;
  out[at + 4] = length;
}

/** False, with anything written, when some character takes more than one byte. */
function writeAscii(out: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return false;
    out[at + i] = code;
  }
  return true;
}

function writeNumber(out: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a non-negative safe integer: ${value}`);
  const view = new DataView(out.buffer);
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** By character code; -1 for all others. */
const VALUES = Int8Array.from({ length: 128 }, (_, code) => ALPHABET.indexOf(String.fromCharCode(code)));

/** The alphabet's character codes. */
const CODES = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
/** Character codes given to one call as its arguments. */
const MOST_ARGUMENTS = 4096;

/** Base64url without padding (RFC 4648, section 5). */
export function toBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(Math.ceil((bytes.length * 4) / 3));
  // What lies behind the end reads as 0, and is written nowhere.
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const word = ((bytes[from] as number) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
    codes[to] = CODES[word >> 18] as number;
    codes[to + 1] = CODES[(word >> 12) & 63] as number;
    codes[to + 2] = CODES[(word >> 6) & 63] as number;
    codes[to + 3] = CODES[word & 63] as number;
  }
  let out = "";
  for (let at = 0; at < codes.length; at += MOST_ARGUMENTS) {
    out += String.fromCharCode.apply(null, codes.subarray(at, at + MOST_ARGUMENTS) as unknown as number[]);
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
  for (let i = 0; i < text.length; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? -1;
    if (value < 0) return null;
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

/** Compares in a time that depends on the lengths alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}
