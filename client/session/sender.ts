/**
 * Everything that leaves a site passes here: recorded in the outbox first, then sent, and sent again after an
 * interruption. What a session says waits until the coordinator knows that this client is ready.
 */
import { createHash } from "node:crypto";
import { isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import type { Session } from "../../shared/secagg/session.ts";
import type { ClientMessage } from "../../shared/wire/messages.ts";
import type { Outbox, OutboxEntry } from "../outbox/outbox.ts";
import { sleep } from "../transport/backoff.ts";
import type { ClientTransport } from "../transport/port.ts";

/** Waiting before an interrupted transfer is tried again on a connection that says it stands. */
const RETRY_MS = 200;

type Heartbeat = Extract<ClientMessage, { type: "heartbeat" }>;

export class Sender {
  readonly #transport: ClientTransport;
  readonly #outbox: Outbox;
  #approval: Sha256 | null = null;
  #ready = false;
  #waiting: (() => void)[] = [];
  #heartbeats = { count: 0, bytes: 0, announced: false };

  constructor(transport: ClientTransport, outbox: Outbox) {
    this.#transport = transport;
    this.#outbox = outbox;
  }

  /** A connection stands: name, nonce and proof of this site's key went out to make it. */
  async connected(): Promise<void> {
    await this.#outbox.record(() => this.#entry("connection", null, null, null));
  }

  /** Under which approved plan things leave from now on. */
  approvedUnder(configHash: Sha256 | null): void {
    this.#approval = configHash;
  }

  /** The coordinator knows that this client is ready. */
  ready(): void {
    this.#ready = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  interrupted(): void {
    this.#ready = false;
  }

  /** One try, at once: `ready` itself. Rejects as the transport does. */
  async now(message: ClientMessage): Promise<void> {
    await this.#record(message, null);
    await this.#transport.send(message);
  }

  /**
   * Resolves when the coordinator has the message durably, however often the connection breaks; rejects with the
   * coordinator's coded error, or with the signal's reason.
   */
  async deliver(message: ClientMessage, session: Session | null, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, async () => {
      await this.#record(message, session);
      signal.throwIfAborted();
      await this.#transport.send(message);
    });
  }

  /** As {@link deliver}, for the bytes of a vector. */
  async upload(kind: string, session: Session, hash: Sha256, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, async () => {
      await this.#outbox.record(() => this.#entry(kind, bytes.byteLength, hash, session));
      signal.throwIfAborted();
      await this.#transport.upload(session.sid as Sha256, hash, bytes, signal);
    });
  }

  /** Sent and forgotten. The outbox says when heartbeats begin and, at the end of the connection, how many there were. */
  async heartbeat(message: Heartbeat): Promise<void> {
    if (!this.#ready) return;
    const total = this.#heartbeats;
    if (!total.announced) {
      total.announced = true;
      await this.#outbox.record(() => this.#entry("heartbeats begin", null, null, null));
    }
    total.count += 1;
    total.bytes += JSON.stringify(message).length;
    await this.#transport.send(message).catch(() => undefined);
  }

  /** Writes down how many heartbeats left since the last time. */
  async sumUpHeartbeats(): Promise<void> {
    const { count, bytes, announced } = this.#heartbeats;
    this.#heartbeats = { count: 0, bytes: 0, announced: false };
    if (!announced) return;
    await this.#outbox.record(() => ({ ...this.#entry("heartbeats", bytes, null, null), count }));
  }

  async #persist(signal: AbortSignal, attempt: () => Promise<void>): Promise<void> {
    for (;;) {
      await this.#whenReady(signal);
      try {
        return await attempt();
      } catch (error) {
        signal.throwIfAborted();
        if (!isCoded(error, "DISCONNECTED")) throw error;
        await sleep(RETRY_MS, signal);
      }
    }
  }

  async #whenReady(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#ready) return;
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.push(() => {
        signal.removeEventListener("abort", abort);
        resolve();
      });
    });
  }

  #record(message: ClientMessage, session: Session | null): Promise<void> {
    return this.#outbox.record(() => {
      const bytes = Buffer.from(JSON.stringify(message));
      const kind = message.type === "step" ? `step ${message.signed.step}` : message.type;
      const hash = createHash("sha256").update(bytes).digest("hex") as Sha256;
      return this.#entry(kind, bytes.length, hash, session);
    });
  }

  #entry(kind: string, bytes: number | null, sha256: Sha256 | null, session: Session | null): Omit<OutboxEntry, "at"> {
    const { sid, purpose, round, attempt } = session ?? {};
    return {
      kind,
      bytes,
      sha256,
      session: session === null ? null : ({ sid, purpose, round, attempt } as OutboxEntry["session"]),
      approval: this.#approval,
    };
  }
}
