/**
 * The sum of the survivors' vectors, block by block: one block of every vector is added up and the masks that remain
 * are taken off while it is in cache. Nobody holds all vectors; the event loop is never held for long.
 */
import { CodedError } from "../../shared/errors.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { MaskPass, newWords, type Mask, type WordBits, type Words } from "../../shared/secagg/mask.ts";
import { BLOCK_BYTES } from "../../shared/secagg/simd.ts";

/** One vector of the sum: a file or memory. */
export interface VectorSource {
  /** Bytes in all: the words, little-endian. */
  readonly byteLength: number;
  /** The bytes from `at` (a multiple of 8); valid until the next call. */
  read(at: number, byteLength: number): Promise<Uint8Array> | Uint8Array;
}

export function memorySource(words: Words): VectorSource {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return { byteLength: bytes.length, read: (at, byteLength) => bytes.subarray(at, at + byteLength) };
}

/** Bytes read of one vector at a time. */
const READ_BYTES = 16 * BLOCK_BYTES;

/**
 * Adds all vectors mod 2^m, then applies `masks` (of `remainingMasks`; none when aggregation is not secure).
 * WIRE_HASH when a vector has not the expected length.
 * @param pause awaited between blocks of a few milliseconds
 */
export async function secureSum(
  crypto: CryptoPort,
  layout: { readonly wordBits: WordBits; readonly words: number },
  vectors: readonly VectorSource[],
  masks: readonly Mask[],
  pause: () => Promise<void> = async () => {},
): Promise<Words> {
  const sum = newWords(layout.wordBits, layout.words);
  for (const { byteLength } of vectors) {
    if (byteLength !== sum.byteLength) {
      throw new CodedError("WIRE_HASH", `a vector has ${byteLength} bytes, expected ${sum.byteLength}`, {
        expected: sum.byteLength,
        got: byteLength,
      });
    }
  }
  const pass = new MaskPass(crypto, masks);
  const size = sum.BYTES_PER_ELEMENT;
  for (let at = 0; at < sum.byteLength; at += READ_BYTES) {
    const part = sum.subarray(at / size, (at + READ_BYTES) / size);
    for (const vector of vectors) addBytes(part, await vector.read(at, part.byteLength));
    for (let block = 0; block < part.length; block += BLOCK_BYTES / size) {
      pass.apply(part.subarray(block, block + BLOCK_BYTES / size));
    }
    await pause();
  }
  return sum;
}

function addBytes(target: Words, bytes: Uint8Array): void {
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const length = target.length;
  const source =
    target instanceof Uint32Array
      ? new Uint32Array(buffer, byteOffset, length)
      : new Uint16Array(buffer, byteOffset, length);
  for (let i = 0; i < length; i++) target[i] = (target[i] as number) + (source[i] as number);
}
