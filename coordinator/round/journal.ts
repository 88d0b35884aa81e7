/**
 * The log of durable events. Every entry carries a running number, so that a batch which is written again after a
 * failure whose outcome is unknown counts once. A snapshot replaces the entries up to its number.
 */
import type { FederationStore } from "../store/port.ts";
import type { DurableEvent, FederationState } from "./state.ts";

export class Journal {
  readonly #store: Pick<FederationStore, "append" | "recover" | "snapshot">;
  #number = 0;

  constructor(store: Pick<FederationStore, "append" | "recover" | "snapshot">) {
    this.#store = store;
  }

  /** The state last saved and the events after it; null before the first snapshot. */
  async recover(): Promise<{ state: Omit<FederationState, "presence">; events: DurableEvent[] } | null> {
    const { snapshot, events } = await this.#store.recover();
    if (snapshot === null) return null;
    const saved = JSON.parse(snapshot) as { number: number; state: Omit<FederationState, "presence"> };
    this.#number = saved.number;
    const after: DurableEvent[] = [];
    for (const line of events) {
      const entry = JSON.parse(line) as { number: number; event: DurableEvent };
      if (entry.number <= this.#number) continue;
      this.#number = entry.number;
      after.push(entry.event);
    }
    return { state: saved.state, events: after };
  }

  /** The numbers of the newest `count` events. */
  numbers(count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.#number - count + 1 + i);
  }

  /**
   * Resolves to the events' numbers when they are durable. `again` is told of each failure and decides how long to wait.
   */
  async append(events: readonly DurableEvent[], again: (error: unknown) => Promise<void>): Promise<number[]> {
    const lines = events.map((event) => JSON.stringify({ number: ++this.#number, event }));
    for (;;) {
      try {
        await this.#store.append(lines);
        return this.numbers(events.length);
      } catch (error) {
        await again(error);
      }
    }
  }

  /** Nothing may be appended meanwhile. */
  async snapshot({ presence: _presence, ...state }: FederationState): Promise<void> {
    await this.#store.snapshot(JSON.stringify({ number: this.#number, state }));
  }
}
