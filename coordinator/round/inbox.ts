/**
 * What clients send, on its way to becoming events: recognised by session and step, checked by the sum's desk, and
 * refused with the reason when it does not fit. A client whose step is wrong is left out of the attempt, alone.
 */
import type { CoordinatorParts } from "./parts.ts";
import { judgeStep, owing } from "./phases/sum.ts";
import type { FederationState, Reason, RoundEvent, Sum, SumComplete } from "./state.ts";
import type { SumDesk } from "./sum-desk.ts";
import { currentSum } from "./transition.ts";
import { CodedError, ERRORS, isCoded, type ErrorCode } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { SignedStep } from "../../shared/secagg/signed.ts";
import type { ClientMessage } from "../../shared/wire/messages.ts";

export interface InboxPorts {
  readonly state: () => FederationState;
  readonly desk: (sum: Sum) => SumDesk;
  /** Resolves when the event is durable; rejects when it turned out not to fit. */
  readonly submit: (event: RoundEvent) => Promise<void>;
  readonly sendPlan: (client: ClientName) => void;
  readonly sendEnded: (client: ClientName, sid: Sha256) => void;
}

/** Different vectors one client may upload in one session. */
const UPLOADS = 2;

export class Inbox {
  readonly #parts: CoordinatorParts;
  readonly #configHash: Sha256;
  readonly #ports: InboxPorts;
  /** Finished uploads of the session under way: bytes by client and hash. */
  #uploads: { readonly sid: Sha256; readonly bytes: Map<ClientName, Map<Sha256, number>> } | null = null;

  /** What the step that came last from each client waits for. */
  readonly #steps = new Map<ClientName, Promise<void>>();

  constructor(parts: CoordinatorParts, configHash: Sha256, ports: InboxPorts) {
    this.#parts = parts;
    this.#configHash = configHash;
    this.#ports = ports;
  }

  async message(client: ClientName, message: ClientMessage): Promise<void> {
    const { submit, sendPlan } = this.#ports;
    const at = this.#parts.clock.now();
    switch (message.type) {
      case "ready":
        // Ready for another plan: it gets this one, and says so again.
        if (message.configHash !== this.#configHash) sendPlan(client);
        else await submit({ type: "ready", at, client, version: message.version });
        return;
      case "heartbeat":
        await submit({ type: "heartbeat", at, client, sid: message.sid, progress: message.progress });
        return;
      case "installed":
        await submit({ type: "installed", at, client, version: message.version });
        return;
      case "decline": {
        this.#parts.observer.refused?.(client, message.reason);
        const accusation = this.#accusation(client, message);
        await submit({
          type: "exclude",
          at,
          client,
          sid: message.sid,
          reason: said(client, message.reason),
          // What it holds against this attempt does not keep it from the next; its own trouble does.
          lasting: !/^(SECAGG|ROUND|SESSION|ATTEMPT)_/.test(message.reason.code),
          ...(accusation !== null && { accusation }),
        });
        // Asked again, it would say the same until its hours begin; then it says that it is ready.
        if (message.reason.code === "POLICY_HOURS") await submit({ type: "resting", at, client });
        return;
      }
      case "step":
        await this.#inOrder(client, () => this.#step(client, message.signed));
    }
  }

  /** A client's steps one after the other: each is judged by what the one before it has come to. */
  #inOrder(client: ClientName, work: () => Promise<void>): Promise<void> {
    const result = (this.#steps.get(client) ?? Promise.resolve()).then(work);
    this.#steps.set(
      client,
      result.catch(() => undefined),
    );
    return result;
  }

  /** Null unless this client owes a vector now. */
  uploadLimit(client: ClientName, sid: Sha256, hash: Sha256): number | null {
    const sum = this.#collecting(sid);
    if (sum === null) return null;
    const given = "inputs" in sum ? sum.inputs[client]?.vector : undefined;
    if (given !== hash && !owing(sum).includes(client)) return null;
    const held = this.#uploads?.sid === sid ? this.#uploads.bytes.get(client) : undefined;
    if (held !== undefined && !held.has(hash) && held.size >= UPLOADS) return null;
    return this.#ports.desk(sum).uploadBytes(sum);
  }

  uploaded(client: ClientName, sid: Sha256, hash: Sha256, bytes: number): void {
    if (this.#collecting(sid) === null) return;
    if (this.#uploads?.sid !== sid) this.#uploads = { sid, bytes: new Map() };
    const held = this.#uploads.bytes.get(client) ?? new Map<Sha256, number>();
    this.#uploads.bytes.set(client, held.set(hash, bytes));
  }

  /** Uploads of a session that is over and were never part of it, or are no longer needed. */
  takeLeftOvers(current: Sha256 | null): Sha256[] {
    if (this.#uploads === null || this.#uploads.sid === current) return [];
    const hashes = [...this.#uploads.bytes.values()].flatMap((held) => [...held.keys()]);
    this.#uploads = null;
    return hashes;
  }

  /** Null where it accuses nobody, or in a way that does not count: then it only leaves. */
  #accusation(client: ClientName, message: Extract<ClientMessage, { type: "decline" }>) {
    const sum = currentSum(this.#ports.state());
    if (message.accusation === undefined || sum?.sid !== message.sid || sum.phase === "complete") return null;
    try {
      return this.#ports.desk(sum).accusation(sum, client, message.accusation);
    } catch (error) {
      if (!isCoded(error)) throw error;
      this.#parts.observer.refused?.(client, { code: error.code, message: error.message });
      return null;
    }
  }

  async #step(client: ClientName, signed: SignedStep): Promise<void> {
    const { state, desk, submit } = this.#ports;
    const sum = currentSum(state());
    if (sum === null || sum.sid !== signed.sid) {
      this.#late(client, signed);
      return;
    }
    const judgement = judgeStep(sum, client, signed);
    if (typeof judgement === "object") throw asError(judgement, client);
    if (judgement !== "new" || sum.phase === "complete") return;
    const at = this.#parts.clock.now();
    try {
      if (signed.sender !== client) {
        throw new CodedError("SECAGG_SESSION", `${client} sends a step of ${signed.sender}`, { client });
      }
      const hash = desk(sum).admit(sum, signed, at);
      const vector = hash === null ? null : { hash, bytes: await this.#vectorBytes(sum, client, hash) };
      await submit({ type: "step", at, client, signed, vector });
    } catch (error) {
      if (isCoded(error) && !error.code.startsWith("ROUND_")) {
        const reason = { code: error.code, message: error.message };
        this.#parts.observer.refused?.(client, reason);
        await submit({ type: "exclude", at, client, sid: sum.sid, reason, lasting: true });
      }
      throw error;
    }
  }

  /** Of an uploaded vector; ROUND_BLOB when it is not there, UPDATE_SHAPE when it has another size. */
  async #vectorBytes(sum: Sum, client: ClientName, hash: Sha256): Promise<number> {
    const { blobs } = this.#parts;
    let bytes = this.#uploads?.sid === sum.sid ? this.#uploads.bytes.get(client)?.get(hash) : undefined;
    if (bytes === undefined) {
      if (!(await blobs.has(hash))) {
        throw new CodedError("ROUND_BLOB", `${client} announced a vector that was not uploaded`, { client, hash });
      }
      bytes = 0;
      for await (const chunk of blobs.read(hash)) bytes += chunk.length;
    }
    const expected = this.#ports.desk(sum).uploadBytes(sum);
    if (bytes === expected) return bytes;
    throw new CodedError("UPDATE_SHAPE", `${client} uploaded ${bytes} bytes, expected ${expected}`, {
      client,
      expected,
      got: bytes,
    });
  }

  /** A step of a session that is not the current one: over, or never heard of. */
  #late(client: ClientName, signed: SignedStep): void {
    const ended = this.#ports.state().ended.find((session) => session.sid === signed.sid);
    if (ended === undefined) {
      throw new CodedError("ROUND_UNKNOWN", `${signed.step} for a session that is not open`, {
        client,
        sid: signed.sid,
      });
    }
    this.#ports.sendEnded(client, signed.sid);
    // The sum did without it.
    if (signed.step === "unmask" || signed.step === "consistency") return;
    throw new CodedError("ROUND_LATE", `${signed.step} came after the attempt was over`, { client });
  }

  #collecting(sid: Sha256): Sum | null {
    const sum: Sum | SumComplete | null = currentSum(this.#ports.state());
    return sum !== null && sum.sid === sid && sum.phase === "collecting-masked-inputs" ? sum : null;
  }
}

/** What a client says of itself, with its name. */
function said(client: ClientName, reason: Reason): Reason {
  return { code: reason.code, message: `${client}: ${reason.message}` };
}

/** A reason as the error that goes back to the client. */
export function asError(reason: Reason, client: ClientName): CodedError {
  const code = reason.code in ERRORS ? (reason.code as ErrorCode) : "WIRE_INVALID";
  return new CodedError(code, reason.message, { client });
}
