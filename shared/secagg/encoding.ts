/** Bytes of the protocol: an injective encoding of tuples, base64url without padding, and the order of names. */
/**
 * Injective: each part is a type byte, its length (4 bytes, big-endian) and its bytes, so two different tuples
 * never have the same encoding. Numbers are non-negative safe integers, 8 bytes big-endian.
 */
export function encodeTuple(...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  const bodies = parts.map((part) => (typeof part === "string" ? utf8(part) : part));
  const length = bodies.reduce((sum: number, body) => sum + 5 + (typeof body === "number" ? 8 : body.length), 0);
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [i, body] of bodies.entries()) {
    const size = typeof body === "number" ? 8 : body.length;
    out[at] = typeof body === "number" ? 2 : typeof parts[i] === "string" ? 1 : 3;
    view.setUint32(at + 1, size);
    at += 5;
    if (typeof body === "number") writeNumber(view, at, body);
    else out.set(body, at);
    at += size;
  }
  return out;
}

const UTF8 = new TextEncoder();
/** Longer texts are faster through the encoder. */
const SHORT = 64;

function utf8(text: string): Uint8Array {
  if (text.length > SHORT) return UTF8.encode(text);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return UTF8.encode(text);
    out[i] = code;
  }
  return out;
}

function writeNumber(view: DataView, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a non-negative safe integer: ${value}`);
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** By character code; -1 for all others. */
const VALUES = Int8Array.from({ length: 128 }, (_, code) => ALPHABET.indexOf(String.fromCharCode(code)));

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
