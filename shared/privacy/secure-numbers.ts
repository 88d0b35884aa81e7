/** Random numbers from a SecureRng, drawn many at a time. */
import type { SecureRng } from "../rng/secure.ts";

const BUFFER_BYTES = 1 << 16;
/** Bits of one draw: what a float64 holds exactly, in whole bytes. */
export const DRAW_BITS = 48;
const DRAW_RANGE = 2 ** DRAW_BITS;

export class SecureNumbers {
  readonly #random: SecureRng;
  #buffer: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(random: SecureRng) {
    this.#random = random;
  }

  /** Uniform integer in [0, 2^48). */
  draw(): number {
    if (this.#at + 6 > this.#buffer.length) {
      this.#buffer = this.#random.bytes(BUFFER_BYTES);
      this.#at = 0;
    }
    const b = this.#buffer;
    const i = this.#at;
    this.#at += 6;
    const high = (b[i] as number) * 0x10000 + (b[i + 1] as number) * 0x100 + (b[i + 2] as number);
    const low = (b[i + 3] as number) * 0x10000 + (b[i + 4] as number) * 0x100 + (b[i + 5] as number);
    return high * 0x1000000 + low;
  }

  /** Uniform in (0, 1): never 0, whose logarithm there is none of. */
  open(): number {
    return (this.draw() + 0.5) / DRAW_RANGE;
  }

  /** Uniform integer in [0, n), without modulo bias; 0 < n <= 2^48. */
  below(n: number): number {
    const limit = DRAW_RANGE - (DRAW_RANGE % n);
    for (;;) {
      const value = this.draw();
      if (value < limit) return value % n;
    }
  }
}
