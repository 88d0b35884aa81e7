/**
 * A client's session: follows a federation's plan and rounds over a transport, for ever. It checks everything the
 * coordinator says against what was pinned, approved and allowed, and answers what it refuses with the reason.
 */
import { readPlan, type TrainingPlan } from "../shared/config/plan.ts";
import { nextOpening } from "../shared/config/window.ts";
import { CodedError, isCoded } from "../shared/errors.ts";
import type { Sha256 } from "../shared/ids.ts";
import type { Session } from "../shared/secagg/session.ts";
import type { ClientMessage, CoordinatorMessage } from "../shared/wire/messages.ts";
import { planRefusals } from "./policy/plan-policy.ts";
import { checkHours } from "./policy/round-policy.ts";
import { Attempt } from "./session/attempt.ts";
import { Judge, type Begin, type Ended } from "./session/judge.ts";
import { openSum } from "./session/open-sum.ts";
import type { SessionParts, Workplace } from "./session/ports.ts";
import { Sender } from "./session/sender.ts";
import { Versions } from "./session/versions.ts";
import { Work } from "./session/work.ts";
import { sleep } from "./transport/backoff.ts";

/** An approved plan and everything that works on it. */
interface Current {
  readonly plan: TrainingPlan;
  readonly configHash: Sha256;
  readonly place: Workplace;
  readonly work: Work;
  readonly versions: Versions;
}

/** Longest wait before the hours of site.yaml are looked at again: clocks are set. */
const HOURS_CHECK_MS = 60_000;

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
  #current: Current | null = null;
  /** Calls off the waiting for approval or hours when another plan comes or the connection breaks. */
  #settling: AbortController | null = null;
  #planQueue: Promise<void> = Promise.resolve();
  #heartbeat: NodeJS.Timeout | null = null;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#sender = new Sender(parts.transport, parts.outbox);
    this.#judge = new Judge(parts.crypto, parts.pinned);
    this.#finished = openFinished();
  }

  /** Resolves with the operator's words when the federation has ended; rejects with what a person must put right. */
  get finished(): Promise<string> {
    return this.#finished.promise;
  }

  /** Connects and takes part until {@link stop}. */
  start(): void {
    const { transport, log, options } = this.#parts;
    transport.open({
      connected: () => log.info({}, "connected to the coordinator"),
      disconnected: (reason) => {
        log.warn({ reason }, "the connection to the coordinator is down");
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
    this.#settling?.abort(this.#stopped.signal.reason);
    const attempts = [...this.#attempts.values()];
    for (const attempt of attempts) attempt.end("the client stops");
    await this.#planQueue;
    const current = this.#current;
    current?.work.forgetTraining();
    await Promise.all([...attempts.map((attempt) => attempt.settled()), current?.versions.settled()]);
    current?.place.dispose();
    await this.#sender.sumUpHeartbeats();
    await this.#parts.transport.close();
    await this.#parts.outbox.close();
    this.#finished.resolve("stopped");
  }

  #receive(message: CoordinatorMessage): void {
    if (this.#stopped.signal.aborted) return;
    switch (message.type) {
      case "plan":
        this.#plan(message.plan, message.configHash);
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
        this.#current?.versions.committed(message.link);
        return;
      case "released":
        this.#current?.versions.released(message.version, message.manifestHash);
        return;
      case "stopped":
        void this.#end(message.reason);
    }
  }

  // -------------------------------------------------------------------------------------------- plan

  #plan(text: string, configHash: Sha256): void {
    this.#settling?.abort(new CodedError("ATTEMPT_OVER", "another plan came"));
    const settling = new AbortController();
    this.#settling = settling;
    this.#planQueue = this.#planQueue
      .then(() => this.#settle(text, configHash, settling.signal))
      .catch((error: unknown) => {
        if (settling.signal.aborted) return;
        this.#parts.log.error({ code: isCoded(error) ? error.code : undefined, configHash }, String(error));
        // What the coordinator sent wrong it may correct; what is wrong here a person must see.
        if (!isCoded(error, "PLAN_INVALID")) this.#finished.reject(error);
      });
  }

  /** From a plan that came to a client that is ready: checked, allowed, approved, opened, in its hours. */
  async #settle(text: string, configHash: Sha256, signal: AbortSignal): Promise<void> {
    const { keepPlan, log, policy } = this.#parts;
    if (this.#current?.configHash !== configHash) {
      const plan = readPlan(text, configHash);
      await keepPlan(text);
      this.#leave("the plan changed");
      const refusals = planRefusals(policy, plan);
      for (const { code, message } of refusals) log.error({ code, configHash }, message);
      if (refusals[0] !== undefined) {
        await this.#decline(configHash, refusals[0], signal);
        return;
      }
      await this.#approved(configHash, signal);
      this.#current = await this.#open(plan, configHash);
    }
    await this.#approved(configHash, signal);
    await this.#hours(signal);
    const installed = await this.#current.place.models.installed();
    this.#sender.approvedUnder(configHash);
    await this.#sender.now({ type: "ready", configHash, version: installed?.link.version ?? -1 });
    if (signal.aborted) return;
    this.#sender.ready();
    // Whoever was away fetches what it missed.
    this.#current.versions.catchUp();
  }

  async #approved(configHash: Sha256, signal: AbortSignal): Promise<void> {
    const { approvals, log, options } = this.#parts;
    let told = false;
    while ((await approvals.covering(configHash)) === null) {
      if (!told) {
        const words = "the training plan waits for approval: allulook plan show, then allulook plan approve";
        log.warn({ code: "POLICY_NOT_APPROVED", configHash }, words);
        told = true;
      }
      await sleep(options.approvalPollMs, signal);
    }
    signal.throwIfAborted();
  }

  async #hours(signal: AbortSignal): Promise<void> {
    const { policy, now, log } = this.#parts;
    if (policy.hours === null) return;
    for (let told = false; ; told = true) {
      const opens = nextOpening(policy.hours, now());
      if (opens <= now()) return;
      if (!told) log.info({ code: "POLICY_HOURS" }, `this site takes part from ${new Date(opens).toISOString()}`);
      await sleep(Math.min(opens - now(), HOURS_CHECK_MS), signal);
    }
  }

  async #open(plan: TrainingPlan, configHash: Sha256): Promise<Current> {
    const { workplace, self, options } = this.#parts;
    const place = await workplace(plan);
    const work = new Work(plan, place, self.name, options.keepResult);
    const versions = new Versions(this.#parts, place, work, this.#sender, this.#stopped.signal);
    return { plan, configHash, place, work, versions };
  }

  /** Ends everything under the plan so far. */
  #leave(why: string): void {
    for (const attempt of this.#attempts.values()) attempt.end(why);
    this.#sender.interrupted();
    this.#current?.work.forgetTraining();
    this.#current?.place.dispose();
    this.#current = null;
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
      const current = this.#current;
      if (current === null) throw new CodedError("POLICY_NOT_APPROVED", "this site has approved no plan yet");
      const session = this.#judge.admit(message, current.configHash);
      checkHours(policy, now());
      const attempt = this.#attempt(current, session, message.version);
      // One at a time for each purpose: another is a sign that the coordinator has given up the one before.
      for (const [other, { session: before }] of this.#attempts) {
        if (before.purpose !== session.purpose) continue;
        this.#attempts.get(other)?.end("another attempt began");
        this.#attempts.delete(other);
      }
      this.#attempts.set(sid, attempt);
      const { purpose, round, attempt: number } = session;
      log.info({ purpose, round, attempt: number }, `${purpose} of round ${round} begins`);
      attempt.begin();
    } catch (error) {
      const refusal = isCoded(error) ? error : new CodedError("TRAINING_FAILED", String(error), {}, { cause: error });
      log.error({ code: refusal.code, sid, ...refusal.details }, `refused an invitation: ${refusal.message}`);
      void this.#decline(sid as Sha256, refusal, this.#stopped.signal).catch(() => undefined);
    }
  }

  #attempt(current: Current, session: Session, version: number): Attempt {
    const { work, plan } = current;
    const sum = openSum(this.#parts, plan, session, work.words(session), this.#judge.trust());
    return new Attempt({
      sum,
      sender: this.#sender,
      log: this.#parts.log,
      work: (signal) => work.vector(session, version, signal),
    });
  }

  #ended(message: Ended): void {
    const { log } = this.#parts;
    const attempt = this.#attempts.get(message.sid);
    try {
      this.#judge.ended(message, attempt?.session ?? null);
    } catch (error) {
      log.error({ code: isCoded(error) ? error.code : undefined, sid: message.sid }, String(error));
      return;
    }
    if (attempt === undefined) return;
    const { purpose, round } = attempt.session;
    const why = message.reason === null ? "" : `: ${message.reason.message}`;
    log.info({ purpose, round, outcome: message.outcome }, `${purpose} of round ${round} ${message.outcome}${why}`);
    attempt.end(`the coordinator ended the attempt as ${message.outcome}`);
    // After a failed attempt the round is tried again, with the same result of training.
    if (purpose === "training" && message.outcome !== "failed") this.#current?.work.forgetTraining();
  }

  #late(what: string, sid: string): void {
    this.#parts.log.info({ sid, what }, `ignored a late ${what}`);
  }

  // -------------------------------------------------------------------------------------------- speaking

  async #decline(sid: Sha256, { code, message }: CodedError, signal: AbortSignal): Promise<void> {
    const reason = { code, message: message.slice(0, 2_000) };
    const decline: ClientMessage = { type: "decline", sid, reason };
    // Before this client was ever ready there is nothing to wait for.
    await (this.#current === null ? this.#sender.now(decline) : this.#sender.deliver(decline, null, signal));
  }

  #beat(): void {
    const live = [...this.#attempts.values()].findLast((attempt) => !attempt.over);
    const sid = (live?.session.sid ?? null) as Sha256 | null;
    const progress = live?.session.purpose === "training" ? (this.#current?.work.progress() ?? null) : null;
    void this.#sender.heartbeat({ type: "heartbeat", sid, progress }).catch((error: unknown) => {
      this.#parts.log.error({ error }, "a heartbeat could not be recorded");
    });
  }

  /** The federation is over: what is under way is finished first. */
  async #end(reason: string): Promise<void> {
    await this.#current?.versions.settled();
    this.#finished.resolve(reason);
  }
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
