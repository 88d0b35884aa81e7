/**
 * Writes the messages that the reducer asks for: begins and ends are signed, steps come from the sum's desk. In the order in
 * which they are asked for, some milliseconds at a time and as fast as the transport takes them: shares of a thousand
 * clients for a thousand clients neither hold the event loop nor lie in memory all at once.
 */
import type { SumDesk } from "./sum-desk.ts";
import type { Outgoing, Sum, SumComplete } from "./state.ts";
import type { CoordinatorParts } from "./parts.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { CoordinatorMessage } from "../../shared/wire/messages.ts";
import { messageSignature } from "../../shared/wire/signing.ts";

/** Writing goes on so long before others have their turn. */
const TURN_MS = 10;

type Parts = Pick<CoordinatorParts, "keys" | "chain" | "transport" | "observer" | "clock" | "pause">;

interface Item {
  readonly client: ClientName;
  readonly outgoing: Outgoing;
}

export class Outbox {
  readonly #parts: Parts;
  readonly #desk: (sum: Sum) => SumDesk;
  readonly #current: () => Sum | SumComplete | null;
  /** Begins and ends go to whole cohorts: signed once. */
  readonly #signed = new WeakMap<object, CoordinatorMessage>();
  #waiting: Item[] = [];
  #draining = false;
  #drained: Promise<void> = Promise.resolve();

  /** @param current the sum under way: what was asked in a phase that has closed is no longer sent */
  constructor(parts: Parts, desk: (sum: Sum) => SumDesk, current: () => Sum | SumComplete | null) {
    this.#parts = parts;
    this.#desk = desk;
    this.#current = current;
  }

  send(client: ClientName, outgoing: Outgoing): void {
    this.#waiting.push({ client, outgoing });
    if (!this.#draining) this.#drained = this.#drain();
  }

  /** Resolves when everything asked for so far is handed to the transport. */
  sent(): Promise<void> {
    return this.#drained;
  }

  /** What still waits is not sent: clients are asked again when they come back. */
  close(): void {
    this.#waiting = [];
  }

  async #drain(): Promise<void> {
    const { clock, transport, pause } = this.#parts;
    this.#draining = true;
    try {
      // Everything that is asked for at once waits in line before the first is written.
      await Promise.resolve();
      let since = clock.now();
      while (this.#waiting.length > 0) {
        // Taken off the front in one piece: a thousand shifts of a long list are a million moves.
        for (const { client, outgoing } of this.#waiting.splice(0, 16)) this.#sendNow(client, outgoing);
        const room = transport.room?.() ?? null;
        if (room === null && clock.now() - since < TURN_MS) continue;
        await (room ?? pause());
        since = clock.now();
      }
    } catch (error) {
      this.#parts.observer.trouble?.("sending", error);
      this.close();
    } finally {
      this.#draining = false;
    }
  }

  #sendNow(client: ClientName, outgoing: Outgoing): void {
    try {
      const message = this.#write(client, outgoing);
      if (message !== null) this.#parts.transport.send(client, message);
    } catch (error) {
      this.#parts.observer.trouble?.(`writing ${outgoing.type} for ${client}`, error);
    }
  }

  #write(client: ClientName, outgoing: Outgoing): CoordinatorMessage | null {
    switch (outgoing.type) {
      case "begin":
        if (this.#isOver(outgoing.sum)) return null;
        return this.#once(outgoing.sum.session, () => {
          const { session, version, revoked, history } = outgoing.sum;
          const message = { type: "begin", session, version, revoked, history } as const;
          return { ...message, signature: messageSignature(this.#parts.keys.signing, message) };
        });
      case "ended":
        return this.#once(outgoing.ended, () => {
          const message = { type: "ended", ...outgoing.ended } as const;
          return { ...message, signature: messageSignature(this.#parts.keys.signing, message) };
        });
      case "committed": {
        const link = this.#parts.chain.link(outgoing.version);
        return link === null ? null : { type: "committed", link };
      }
      case "released":
        return { type: "released", version: outgoing.version, manifestHash: outgoing.manifestHash };
      case "stopped":
        return { type: "stopped", reason: outgoing.reason };
      default:
        if (this.#isOver(outgoing.sum)) return null;
        return { type: "step", signed: this.#desk(outgoing.sum).write(outgoing.sum, outgoing.type, client) };
    }
  }

  #isOver({ sid, phase }: Sum): boolean {
    const current = this.#current();
    return current?.sid !== sid || current.phase !== phase;
  }

  #once(subject: object, write: () => CoordinatorMessage): CoordinatorMessage {
    const known = this.#signed.get(subject);
    if (known !== undefined) return known;
    const message = write();
    this.#signed.set(subject, message);
    return message;
  }
}
