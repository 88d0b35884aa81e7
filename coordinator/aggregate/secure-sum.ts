/**
 * The sum of the survivors' vectors, and the masks that remain taken off it: nobody holds all vectors, and the event loop
 * is never held for long. Masks are added up in threads, where there are any: in each its own share of them.
 */
import { CodedError } from "../../shared/errors.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import {
  blocksOf,
  bytesOf,
  MaskPass,
  newWords,
  type Mask,
  type Masker,
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
const BLOCKS_PER_PAUSE = 128;
/** Blocks read of one vector at a time, at most. */
const BLOCKS_PER_READ = 8;
/** Vectors read side by side: each may be an open file with a megabyte of it in memory. */
export const VECTORS_AT_ONCE = 16;
/** Of each that is read from a disk so much is in memory. */
const READ_MEMORY_BYTES = 1 << 20;

/** Memory for vectors that are read for one sum: the vector at place i goes through that at i mod {@link VECTORS_AT_ONCE}. */
export function readingMemory(vectors: number, byteLength: number): Uint8Array[] {
  const bytes = Math.max(1, Math.min(READ_MEMORY_BYTES, byteLength));
  return Array.from({ length: Math.min(VECTORS_AT_ONCE, vectors) }, () => new Uint8Array(bytes));
}
/** Masks applied in one pass: each has a cipher of its own meanwhile, and a block of all goes by between two pauses. */
const MASKS_PER_PASS = BLOCKS_PER_PAUSE;
/** Less keystream is made sooner than it is handed to threads. */
const LEAST_BYTES_IN_THREADS = 32 << 20;

/** Where masks are taken off. */
export interface Unmasker {
  readonly threads: number;
  readonly mask: Masker;
}

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
  unmasker: Unmasker | null = null,
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
  const words = (BLOCKS_PER_READ * BLOCK_BYTES) / sum.BYTES_PER_ELEMENT;
  for (let first = 0; first < vectors.length; first += VECTORS_AT_ONCE) {
    const some = vectors.slice(first, first + VECTORS_AT_ONCE);
    for (let at = 0; at < sum.length; at += words) {
      const part = sum.subarray(at, at + words);
      for (const vector of some) {
        const bytes = await vector.read(at * sum.BYTES_PER_ELEMENT, part.byteLength);
        addBytes(part, bytes, 1);
      }
      await pause();
    }
  }
  await applyMasks(crypto, sum, masks, pause, unmasker);
  return sum;
}

/** Applies `masks` to a sum in place. `pause` as in {@link secureSum}. */
export async function applyMasks(
  crypto: CryptoPort,
  sum: Words,
  masks: readonly Mask[],
  pause: () => Promise<void> = async () => {},
  unmasker: Unmasker | null = null,
): Promise<void> {
  if (unmasker !== null && unmasker.threads > 0 && masks.length * sum.byteLength >= LEAST_BYTES_IN_THREADS) {
    await applyInThreads(sum, masks, unmasker, pause);
    return;
  }
  for (let first = 0; first < masks.length; first += MASKS_PER_PASS) {
    const some = masks.slice(first, first + MASKS_PER_PASS);
    const pass = new MaskPass(crypto, some);
    let passed = 0;
    for (const block of blocksOf(sum)) {
      pass.apply(block);
      passed += some.length;
      if (passed < BLOCKS_PER_PAUSE) continue;
      passed = 0;
      await pause();
    }
  }
}

/** Of each unmasker, memory that no sum uses now. The collector does not see how large shared memory is, and lets it lie. */
const FREE = new WeakMap<Unmasker, SharedArrayBuffer[]>();

/** Zeros. */
function zeroed(memory: SharedArrayBuffer | undefined, { byteLength, BYTES_PER_ELEMENT }: Words): Words {
  const kept = memory?.byteLength === byteLength ? memory : new SharedArrayBuffer(byteLength);
  const words = BYTES_PER_ELEMENT === 4 ? new Uint32Array(kept) : new Uint16Array(kept);
  return kept === memory ? words.fill(0) : words;
}

/** Each thread adds up every so manieth mask in a vector of its own, which is then added to the sum. */
async function applyInThreads(
  sum: Words,
  masks: readonly Mask[],
  unmasker: Unmasker,
  pause: () => Promise<void>,
): Promise<void> {
  const { threads, mask } = unmasker;
  const free = FREE.get(unmasker) ?? [];
  FREE.delete(unmasker);
  const parts = Array.from({ length: Math.min(threads, masks.length) }, async (_, thread) => {
    const own = masks.filter((__, i) => i % threads === thread);
    const part = zeroed(free[thread], sum);
    for (let first = 0; first < own.length; first += MASKS_PER_PASS) {
      await mask(part, own.slice(first, first + MASKS_PER_PASS));
    }
    return part;
  });
  const whole = await Promise.all(parts);
  for (const part of whole) {
    const step = (BLOCKS_PER_READ * BLOCK_BYTES) / sum.BYTES_PER_ELEMENT;
    for (let at = 0; at < sum.length; at += step) {
      addBytes(sum.subarray(at, at + step), bytesOf(part.subarray(at, at + step)), 1);
      await pause();
    }
  }
  // Not after a failure: a thread may still be at work in it.
  FREE.set(
    unmasker,
    whole.map(({ buffer }) => buffer as SharedArrayBuffer),
  );
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
