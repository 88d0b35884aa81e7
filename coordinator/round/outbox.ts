/** Writes the messages that the reducer asks for: begins and ends are signed, steps come from the sum's desk. */
import type { SumDesk } from "./sum-desk.ts";
import type { Outgoing, Sum } from "./state.ts";
import type { CoordinatorParts } from "./parts.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { CoordinatorMessage } from "../../shared/wire/messages.ts";
import { messageSignature } from "../../shared/wire/signing.ts";

export class Outbox {
  readonly #parts: Pick<CoordinatorParts, "keys" | "chain" | "transport" | "observer">;
  readonly #desk: (sum: Sum) => SumDesk;
  /** Begins and ends go to whole cohorts: signed once. */
  readonly #signed = new WeakMap<object, CoordinatorMessage>();

  constructor(parts: Pick<CoordinatorParts, "keys" | "chain" | "transport" | "observer">, desk: (sum: Sum) => SumDesk) {
    this.#parts = parts;
    this.#desk = desk;
  }

  send(client: ClientName, outgoing: Outgoing): void {
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
        return { type: "step", signed: this.#desk(outgoing.sum).write(outgoing.sum, outgoing.type, client) };
    }
  }

  #once(subject: object, write: () => CoordinatorMessage): CoordinatorMessage {
    const known = this.#signed.get(subject);
    if (known !== undefined) return known;
    const message = write();
    this.#signed.set(subject, message);
    return message;
  }
}
