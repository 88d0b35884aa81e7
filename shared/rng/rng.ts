/**
 * Seeded randomness for training and simulation: sfc32 (Chris Doty-Humphrey, PractRand), keyed by
 * SHA-256 of the labels. Never for keys, masks or privacy noise: those take a `SecureRng`.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";

export class Rng {
  // Nominal: a SecureRng can never be passed where an Rng is expected, nor the other way round.
  declare private readonly kind: "seeded";
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  private constructor(state: readonly [number, number, number, number]) {
    [this.#a, this.#b, this.#c, this.#counter] = state;
  }

  /** A stream fixed by its labels, e.g. `Rng.of(seed, "train", clientName, round)`. */
  static of(...labels: readonly (string | number)[]): Rng {
    const digest = sha256(utf8ToBytes(JSON.stringify(labels)));
    const view = new DataView(digest.buffer, digest.byteOffset);
    const rng = new Rng([view.getUint32(0), view.getUint32(4), view.getUint32(8), 1]);
    for (let i = 0; i < 12; i++) rng.uint32();
    return rng;
  }

  /** Continues a stream saved by {@link save}. */
  static restore(state: readonly [number, number, number, number]): Rng {
    return new Rng(state);
  }

  save(): [number, number, number, number] {
    return [this.#a, this.#b, this.#c, this.#counter];
  }

  /** Uniform integer in [0, 2^32). */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1) with 32 bits. */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Uniform integer in [0, n), without modulo bias; 0 < n <= 2^32. */
  below(n: number): number {
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % n);
    for (;;) {
      const value = this.uint32();
      if (value < limit) return value % n;
    }
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A new array with the items in random order (Fisher-Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const out = items.slice();
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}
