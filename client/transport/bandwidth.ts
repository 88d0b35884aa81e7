/** A site's bandwidth cap: a token bucket per direction, shared by all transfers in it. */
import { sleep } from "./backoff.ts";

/** A burst of this long at the capped rate may pass at once. */
const BURST_SECONDS = 0.25;

export class Throttle {
  readonly #bytesPerSecond: number | null;
  readonly #now: () => number;
  /** When the bytes let through so far would have been sent at exactly the capped rate. */
  #paidUntil = 0;

  /** @param bytesPerSecond null: no cap. @param now milliseconds, monotonic. */
  constructor(bytesPerSecond: number | null, now: () => number = () => performance.now()) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#now = now;
  }

  /** The largest piece to hand over at once, so that a low cap does not come in bursts of seconds. */
  pieceBytes(preferred: number): number {
    if (this.#bytesPerSecond === null) return preferred;
    return Math.max(1, Math.min(preferred, Math.ceil(this.#bytesPerSecond * BURST_SECONDS)));
  }

  /** How long to wait before `bytes` more may pass; counts them as passed. */
  take(bytes: number): number {
    if (this.#bytesPerSecond === null) return 0;
    const now = this.#now();
    const start = Math.max(this.#paidUntil, now - BURST_SECONDS * 1000);
    this.#paidUntil = start + (bytes / this.#bytesPerSecond) * 1000;
    return Math.max(0, this.#paidUntil - now);
  }

  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    const waitMs = this.take(bytes);
    if (waitMs > 1) await sleep(waitMs, signal);
  }
}
