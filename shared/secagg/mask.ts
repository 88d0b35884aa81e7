/**
 * Masks. A mask is the AES-256-CTR keystream (counter block 0 first) of a key, read as little-endian words of m
 * bits (32 or 16), one for each element, added or subtracted mod 2^m.
 *   self mask:     key = HKDF-SHA256(ikm = b, salt = sid, info = "allulook/self-mask/v1"), added
 *   pairwise mask: key = HKDF-SHA256(ikm = X25519 of the two mask keys, salt = sid, info = "allulook/pairwise-mask/v1"
 *                  and both public keys), added by the client whose name sorts first, subtracted by the other
 * Work goes block by block: one block of the vector stays in cache while all masks pass over it.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import type { CryptoPort, MaskStream } from "./crypto-port.ts";
import { compareNames, encodeTuple } from "./encoding.ts";
import { BLOCK_BYTES, SimdBlock } from "./simd.ts";

/** Elements mod 2^32 or mod 2^16. */
export type Words = Uint32Array | Uint16Array;
export type WordBits = 32 | 16;

export interface Mask {
  readonly key: Uint8Array;
  readonly sign: 1 | -1;
}

export function newWords(bits: WordBits, length: number): Words {
  return bits === 32 ? new Uint32Array(length) : new Uint16Array(length);
}

export function bytesOf(words: Words): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** The self mask of a seed b. */
export function selfMask(crypto: CryptoPort, sid: string, seed: Uint8Array): Mask {
  return { key: crypto.hkdfSha256(seed, hexToBytes(sid), encodeTuple("allulook/self-mask/v1"), 32), sign: 1 };
}

export interface MaskParty {
  readonly name: string;
  /** X25519 public key s. */
  readonly maskKey: Uint8Array;
}

/** The mask that `own` applies for its pair with `peer`; the peer's own has the other sign. */
export function pairwiseMask(
  crypto: CryptoPort,
  sid: string,
  sharedSecret: Uint8Array,
  own: MaskParty,
  peer: MaskParty,
): Mask {
  const first = compareNames(own.name, peer.name) < 0;
  const [a, b] = first ? [own, peer] : [peer, own];
  const info = encodeTuple("allulook/pairwise-mask/v1", a.name, a.maskKey, b.name, b.maskKey);
  return { key: crypto.hkdfSha256(sharedSecret, hexToBytes(sid), info, 32), sign: first ? 1 : -1 };
}

/** The mask that takes `mask` away again. */
export function negated(mask: Mask): Mask {
  return { key: mask.key, sign: mask.sign === 1 ? -1 : 1 };
}

/** Applies masks to a vector that passes by in blocks, first to last. */
export class MaskPass {
  readonly #streams: readonly { stream: MaskStream; sign: 1 | -1 }[];
  readonly #sum = SimdBlock.shared;

  constructor(crypto: CryptoPort, masks: readonly Mask[]) {
    this.#streams = masks.map(({ key, sign }) => ({ stream: crypto.maskStream(key), sign }));
  }

  /** In place. Every block has {@link BLOCK_BYTES}, the last one at most. */
  apply(block: Words): void {
    if (this.#streams.length === 0) return;
    const bytes = bytesOf(block);
    const wordBits = block instanceof Uint32Array ? 32 : 16;
    this.#sum.load(bytes);
    for (const { stream, sign } of this.#streams) this.#sum.combine(stream.next(bytes.length), wordBits, sign);
    this.#sum.store(bytes);
  }
}

/** The vector in blocks: views, not copies. */
export function* blocksOf(vector: Words): Generator<Words> {
  const step = BLOCK_BYTES / vector.BYTES_PER_ELEMENT;
  for (let at = 0; at < vector.length; at += step) yield vector.subarray(at, at + step);
}

/** Applies masks to a whole vector in place. */
export function addMasks(crypto: CryptoPort, vector: Words, masks: readonly Mask[]): void {
  const pass = new MaskPass(crypto, masks);
  for (const block of blocksOf(vector)) pass.apply(block);
}

/** Masks a vector in place and gives the SHA-256 of the masked words. */
export type Masker = (vector: Words, masks: readonly Mask[]) => Promise<Uint8Array>;

/** Blocks of all masks together between two pauses: a few milliseconds. */
const BLOCKS_PER_PAUSE = 128;

/** Masks on this thread. `pause` is awaited every few milliseconds, so that heartbeats go out. */
export function inlineMasker(crypto: CryptoPort, pause?: () => Promise<void>): Masker {
  return async (vector, masks) => {
    const pass = new MaskPass(crypto, masks);
    const hasher = crypto.hasher();
    let passed = 0;
    for (const block of blocksOf(vector)) {
      pass.apply(block);
      hasher.update(bytesOf(block));
      passed += masks.length + 1;
      if (pause && passed >= BLOCKS_PER_PAUSE) {
        passed = 0;
        await pause();
      }
    }
    return hasher.digest();
  };
}
