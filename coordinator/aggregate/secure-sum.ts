/**
 * The sum of the survivors' vectors, block by block: one block of every vector is added up and the masks that remain
 * are taken off while it is in cache. Nobody holds all vectors; the event loop is never held for long.
 */
import { CodedError } from "../../shared/errors.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import {
  blocksOf,
  bytesOf,
  MaskPass,
  newWords,
  type Mask,
  type WordBits,
  type Words,
} from "../../shared/secagg/mask.ts";
import { BLOCK_BYTES, SimdBlock } from "../../shared/secagg/simd.ts";

/** One vector of the sum: a file or memory. */
export interface VectorSource {
  /** Bytes in all: the words, little-endian. */
  readonly byteLength: number;
  /** The bytes from `at` (a multiple of 8); valid until the next call. */
  read(at: number, byteLength: number): Promise<Uint8Array> | Uint8Array;
}

export function memorySource(words: Words): VectorSource {
  const bytes = bytesOf(words);
  return { byteLength: bytes.length, read: (at, byteLength) => bytes.subarray(at, at + byteLength) };
}

/** Blocks passed over between two pauses, all vectors and masks together: a few milliseconds. */
const BLOCKS_PER_PAUSE = 1024;
/** Blocks read of one vector at a time, at most. */
const BLOCKS_PER_READ = 64;

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
  const passing = Math.max(1, vectors.length + masks.length);
  const blocks = Math.min(BLOCKS_PER_READ, Math.max(1, Math.floor(BLOCKS_PER_PAUSE / passing)));
  const words = (blocks * BLOCK_BYTES) / sum.BYTES_PER_ELEMENT;
  for (let at = 0; at < sum.length; at += words) {
    const part = sum.subarray(at, at + words);
    for (const vector of vectors) {
      const bytes = await vector.read(at * sum.BYTES_PER_ELEMENT, part.byteLength);
      addBytes(part, bytes, 1);
    }
    for (const block of blocksOf(part)) pass.apply(block);
    await pause();
  }
  return sum;
}

/** Applies `masks` to a sum in place. `pause` as in {@link secureSum}. */
export async function applyMasks(
  crypto: CryptoPort,
  sum: Words,
  masks: readonly Mask[],
  pause: () => Promise<void> = async () => {},
): Promise<void> {
  if (masks.length === 0) return;
  const pass = new MaskPass(crypto, masks);
  let passed = 0;
  for (const block of blocksOf(sum)) {
    pass.apply(block);
    passed += masks.length;
    if (passed < BLOCKS_PER_PAUSE) continue;
    passed = 0;
    await pause();
  }
}

/** Adds (sign 1) or takes away (sign -1) the bytes of as many words mod 2^m, in place. */
export function addBytes(target: Words, bytes: Uint8Array, sign: 1 | -1): void {
  const adder = SimdBlock.shared;
  const wordBits = target instanceof Uint32Array ? 32 : 16;
  let at = 0;
  for (const block of blocksOf(target)) {
    const sum = bytesOf(block);
    adder.load(sum);
    adder.combine(bytes.subarray(at, at + sum.length), wordBits, sign);
    adder.store(sum);
    at += sum.length;
  }
}
