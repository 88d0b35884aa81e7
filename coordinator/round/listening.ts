/**
 * What the driver has heard since its last batch without looking at it: the clients' heartbeats, and how late this process
 * itself was. Time should be told every few hundred milliseconds; as long as it is told later, nothing was listened to.
 */
import type { ClientName } from "../../shared/ids.ts";
import { hear, memberOf, witness } from "./presence.ts";
import type { FederationState, RoundEvent, Transition } from "./state.ts";
import { listen } from "./transition.ts";

export type Heartbeat = Extract<RoundEvent, { type: "heartbeat" }>;

export class Listening {
  /** The newest of each client: a thousand clients send a thousand a second, so they are heard together. */
  readonly #heartbeats = new Map<ClientName, Heartbeat>();
  #due = Number.POSITIVE_INFINITY;
  #lateMs = 0;

  heartbeat(event: Heartbeat): void {
    this.#heartbeats.set(event.client, event);
  }

  /** Time should be told again `inMs` from now. */
  again(now: number, inMs: number): void {
    this.#notice(now);
    this.#due = now + inMs;
  }

  /**
   * Everything that has come in is heard before anything can be decided by who is silent, and before the time in which
   * this process did not listen is taken off.
   * @param waiting events that are about to be looked at
   */
  take(
    state: FederationState,
    waiting: readonly RoundEvent[],
    now: number,
  ): Transition & { readonly heartbeats: readonly Heartbeat[] } {
    const heartbeats = this.#heardOf(state, waiting);
    const heard = heartbeats.length === 0 ? { state, effects: [] } : listen(state, heartbeats);
    // What waits alone is heard when it is looked at.
    const signs =
      waiting.length === 1
        ? []
        : waiting.flatMap((event) => (event.type === "step" || event.type === "ready" ? [event] : []));
    this.#notice(now);
    const presence = hear(witness(heard.state.presence, signs), { type: "tick", at: now, lateMs: this.#lateMs });
    this.#lateMs = 0;
    return { state: { ...heard.state, presence }, effects: heard.effects, heartbeats };
  }

  /** Those of a connection that is only about to be looked at are heard after it; those of one that is over count no more. */
  #heardOf({ presence }: FederationState, waiting: readonly RoundEvent[]): Heartbeat[] {
    const arriving = new Set(waiting.flatMap((event) => (event.type === "connected" ? [event.client] : [])));
    const heard: Heartbeat[] = [];
    for (const [client, event] of this.#heartbeats) {
      if (arriving.has(client)) continue;
      this.#heartbeats.delete(client);
      if (memberOf(presence, client).connected) heard.push(event);
    }
    return heard;
  }

  /** Counts what is late so far, once. */
  #notice(now: number): void {
    if (now <= this.#due) return;
    this.#lateMs += now - this.#due;
    this.#due = now;
  }
}
