/** A clock that a test moves: with timers on time, or without, as in a process that is too busy to look at them. */
import type { Clock } from "../../coordinator/round/clock.ts";

interface Timer {
  readonly at: number;
  readonly call: () => void;
}

export class ManualClock implements Clock {
  #now: number;
  #timers: Timer[] = [];

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  /** Time passes, and every timer is called when it is due; between two of them `turn` is awaited. */
  async pass(ms: number, turn: () => Promise<void>): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers = this.#timers.filter((other) => other !== next);
      next.call();
      await turn();
    }
    this.#now = until;
  }

  /** Time passes, and nobody looks at the clock. */
  block(ms: number): void {
    this.#now += ms;
  }
}
