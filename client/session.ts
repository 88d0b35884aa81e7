/**
 * A client's session: follows a federation's plan and rounds over a transport, for ever. It checks everything the
 * coordinator says against what was pinned, approved and allowed, and answers what it refuses with the reason.
 */
import { CodedError, isCoded } from "../shared/errors.ts";
import type { Sha256 } from "../shared/ids.ts";
import type { Act } from "../shared/audit/entry.ts";
import { survivors } from "../shared/secagg/messages.ts";
import type { Session } from "../shared/secagg/session.ts";
import { COORDINATOR, parsePayload } from "../shared/secagg/signed.ts";
import type { SiteCopy } from "../shared/transcript/copy.ts";
import type { ClientMessage, CoordinatorMessage } from "../shared/wire/messages.ts";
import { checkClip, checkHours } from "./policy/round-policy.ts";
import { Attempt } from "./session/attempt.ts";
import { Judge, type Begin, type Ended } from "./session/judge.ts";
import { openSum } from "./session/open-sum.ts";
import { Planning, type Current } from "./session/planning.ts";
import type { SessionParts } from "./session/ports.ts";
import { Sender } from "./session/sender.ts";

/** How often the log repeats that the coordinator cannot be reached, and why. */
const DOWN_AGAIN_MS = 10 * 60_000;

interface Finished {
  readonly promise: Promise<string>;
  resolve(reason: string): void;
  reject(error: unknown): void;
}

export class ClientSession {
  readonly #parts: SessionParts;
  readonly #sender: Sender;
  readonly #judge: Judge;
  readonly #stopped = new AbortController();
  readonly #attempts = new Map<string, Attempt>();
  readonly #finished: Finished;
  readonly #planning: Planning;
  #heartbeat: NodeJS.Timeout | null = null;
  readonly #writing = new Set<Promise<void>>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#sender = new Sender(parts.transport, parts.outbox);
    this.#judge = new Judge(parts.crypto, parts.pinned, {
      revocations: parts.revocations ?? { held: null, keep: () => {} },
      told: parts.told ?? null,
      revealed: parts.revealed ?? null,
      allowRestored: parts.policy.allowRestored,
    });
    this.#finished = openFinished();
    const events = {
      left: (why: string) => {
        for (const attempt of this.#attempts.values()) attempt.end(why);
      },
      broken: (error: unknown) => this.#finished.reject(error),
    };
    this.#planning = new Planning(parts, this.#sender, events, this.#stopped.signal);
  }

  /** Resolves with the operator's words when the federation has ended; rejects with what a person must put right. */
  get finished(): Promise<string> {
    return this.#finished.promise;
  }

  /** Connects and takes part until {@link stop}. */
  start(): void {
    const { transport, log, options } = this.#parts;
    let told = { reason: "", at: Number.NEGATIVE_INFINITY };
    transport.open({
      connected: () => {
        told = { reason: "", at: Number.NEGATIVE_INFINITY };
        log.info({}, "connected to the coordinator");
        void this.#sender.connected().catch((error: unknown) => log.error({ error }, "the outbox cannot be written"));
      },
      disconnected: (reason) => {
        // It is tried again every few seconds; people need to read it once in a while.
        const at = this.#parts.now();
        if (reason !== told.reason || at - told.at >= DOWN_AGAIN_MS) {
          log.warn({ reason }, `not connected to the coordinator: ${reason}`);
          told = { reason, at };
        }
        this.#sender.interrupted();
        void this.#sender.sumUpHeartbeats();
      },
      message: (message) => this.#receive(message),
    });
    if (options.heartbeatMs !== null) this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
  }

  /** Leaves; every secret is wiped. */
  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    this.#stopped.abort(new CodedError("ATTEMPT_OVER", "the client stops"));
    const attempts = [...this.#attempts.values()];
    for (const attempt of attempts) attempt.end("the client stops");
    await this.#planning.close();
    await Promise.all(attempts.map((attempt) => attempt.settled()));
    await this.#sender.sumUpHeartbeats();
    await this.#parts.transport.close();
    await Promise.all(this.#writing);
    await this.#parts.outbox.close();
    this.#finished.resolve("stopped");
  }

  #receive(message: CoordinatorMessage): void {
    if (this.#stopped.signal.aborted) return;
    switch (message.type) {
      case "plan":
        this.#planning.came(message.plan, message.configHash);
        return;
      case "begin":
        this.#begin(message);
        return;
      case "step": {
        const attempt = this.#attempts.get(message.signed.sid);
        if (attempt === undefined || attempt.over) this.#late(message.signed.step, message.signed.sid);
        else attempt.step(message.signed);
        return;
      }
      case "ended":
        this.#ended(message);
        return;
      case "committed":
        this.#planning.current?.versions.committed(message.link);
        return;
      case "released":
        this.#planning.current?.versions.released(message.version, message.manifestHash);
        return;
      case "stopped":
        void this.#end(message.reason);
    }
  }

  // -------------------------------------------------------------------------------------------- rounds

  #begin(message: Begin): void {
    const { policy, now, log } = this.#parts;
    const { sid } = this.#judge.session(message);
    const known = this.#attempts.get(sid);
    if (known !== undefined) {
      if (known.over) this.#late("begin", sid);
      else known.begin();
      return;
    }
    try {
      const current = this.#planning.current;
      if (current === null) throw new CodedError("POLICY_NOT_APPROVED", "this site has approved no plan yet");
      const session = this.#judge.admit(message, current.configHash);
      checkClip(current.plan, session);
      checkHours(policy, now());
      const attempt = this.#attempt(current, session, message);
      // One at a time for each purpose: another is a sign that the coordinator has given up the one before.
      for (const [other, { session: before }] of this.#attempts) {
        if (before.purpose !== session.purpose) continue;
        this.#attempts.get(other)?.end("another attempt began");
        this.#attempts.delete(other);
      }
      this.#attempts.set(sid, attempt);
      const { purpose, round, attempt: number } = session;
      log.info({ purpose, round, attempt: number }, `${purpose} of round ${round} begins`);
      const { parentHash, previousTranscriptDigest } = session;
      const facts = { sid, purpose, round, attempt: number, version: message.version, parentHash };
      this.#note({ act: "took part", facts: { ...facts, previousTranscriptDigest } });
      attempt.begin();
    } catch (error) {
      const refusal = isCoded(error) ? error : new CodedError("TRAINING_FAILED", String(error), {}, { cause: error });
      log.error({ code: refusal.code, sid, ...refusal.details }, `refused an invitation: ${refusal.message}`);
      const { purpose, round, attempt } = message.session;
      const words = refusal.message.slice(0, 2_000);
      this.#note({ act: "refused", facts: { sid, purpose, round, attempt, code: refusal.code, message: words } });
      void this.#decline(sid as Sha256, refusal, this.#stopped.signal)
        .catch(() => undefined)
        .then(() => refusal.code === "POLICY_HOURS" && this.#planning.rest());
    }
  }

  #attempt(current: Current, session: Session, message: Begin): Attempt {
    const { work, plan } = current;
    const { version } = message;
    const { sid, purpose, round, attempt } = session;
    const sum = openSum(this.#parts, plan, session, work.words(session), this.#judge.trust());
    return new Attempt({
      sum,
      self: this.#parts.self.name,
      invitation: message,
      sender: this.#sender,
      log: this.#parts.log,
      revealing: async (copy) => {
        await this.#parts.keepCopy?.(copy);
        this.#judge.revealed(session);
        await this.#parts.audit?.append({ act: "revealed", facts: { sid, purpose, round, attempt, ...listOf(copy) } });
      },
      delivered: () => work.delivered(session),
      refused: ({ code, message: words }) => this.#note({ act: "refused", facts: { sid, code, message: words } }),
      work: (signal) => work.vector(session, version, signal),
      ...(this.#parts.pause !== undefined && { pause: this.#parts.pause }),
    });
  }

  #ended(message: Ended): void {
    const { log } = this.#parts;
    const attempt = this.#attempts.get(message.sid);
    try {
      this.#judge.ended(message, attempt?.session ?? null);
    } catch (error) {
      const code = isCoded(error) ? error.code : undefined;
      log.error({ code, sid: message.sid }, String(error));
      if (code === "SESSION_SPLIT_VIEW") this.#note({ act: "refused", facts: { sid: message.sid, code } });
      return;
    }
    if (attempt === undefined) return;
    this.#keepEnd(attempt, message);
    const { purpose, round } = attempt.session;
    const why = message.reason === null ? "" : `: ${message.reason.message}`;
    log.info({ purpose, round, outcome: message.outcome }, `${purpose} of round ${round} ${message.outcome}${why}`);
    attempt.end(`the coordinator ended the attempt as ${message.outcome}`);
    const counted = message.outcome === "completed" && attempt.delivered;
    if (!counted) this.#write(this.#planning.current?.work.notCounted(attempt.session));
    // After a failed attempt the round is tried again, with the same result of training.
    if (purpose === "training" && message.outcome !== "failed") this.#planning.current?.work.roundOver();
  }

  /** What was signed and seen, with the coordinator's last word; the log is signed with it. */
  #keepEnd(attempt: Attempt, { outcome, reason, transcriptDigest, signature }: Ended): void {
    const { keepCopy, audit } = this.#parts;
    const { sid, purpose, round, attempt: number } = attempt.session;
    this.#write(keepCopy?.(attempt.copy({ outcome, reason, transcriptDigest, signature })));
    const facts = { sid, purpose, round, attempt: number, outcome, code: reason?.code ?? null, transcriptDigest };
    this.#write(audit?.sign({ act: "session ended", facts }));
  }

  /** An act that waits for nothing and that nothing waits for. */
  #note(act: Act): void {
    this.#write(this.#parts.audit?.append(act));
  }

  #write(writing: Promise<void> | undefined): void {
    if (writing === undefined) return;
    const done = writing
      .catch((error: unknown) => this.#parts.log.error({ error }, "the site's records cannot be written"))
      .finally(() => this.#writing.delete(done));
    this.#writing.add(done);
  }

  #late(what: string, sid: string): void {
    this.#parts.log.info({ sid, what }, `ignored a late ${what}`);
  }

  // -------------------------------------------------------------------------------------------- speaking

  async #decline(sid: Sha256, { code, message }: CodedError, signal: AbortSignal): Promise<void> {
    const reason = { code, message: message.slice(0, 2_000) };
    const decline: ClientMessage = { type: "decline", sid, reason };
    // Before this client was ever ready there is nothing to wait for.
    if (this.#planning.current === null) await this.#sender.now(decline);
    else await this.#sender.deliver(decline, null, signal);
  }

  #beat(): void {
    const live = [...this.#attempts.values()].findLast((attempt) => !attempt.over);
    const sid = (live?.session.sid ?? null) as Sha256 | null;
    const progress = live?.session.purpose === "training" ? (this.#planning.current?.work.progress() ?? null) : null;
    void this.#sender.heartbeat({ type: "heartbeat", sid, progress }).catch((error: unknown) => {
      this.#parts.log.error({ error }, "a heartbeat could not be recorded");
    });
  }

  /** The federation is over: what is under way is finished first. */
  async #end(reason: string): Promise<void> {
    await this.#planning.current?.versions.settled();
    this.#finished.resolve(reason);
  }
}

/** Whose sum a site reveals for. */
function listOf({ shown }: SiteCopy): { survivors: readonly string[]; dropouts: readonly string[] } {
  const list = shown.find(({ step }) => step === "survivors");
  if (list === undefined) return { survivors: [], dropouts: [] };
  const payload = parsePayload(survivors, { step: "survivors", sender: COORDINATOR }, list.payload);
  return { survivors: payload.survivors.map(({ sender }) => sender), dropouts: payload.dropouts };
}

function openFinished(): Finished {
  let settle: Omit<Finished, "promise"> | null = null;
  const promise = new Promise<string>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Nobody need wait for the end.
  promise.catch(() => undefined);
  return { promise, ...(settle as unknown as Omit<Finished, "promise">) };
}
