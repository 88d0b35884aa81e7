/** From a training plan that came to a client that is ready: checked, allowed, approved, opened, in the site's hours. */
import { readPlan, type TrainingPlan } from "../../shared/config/plan.ts";
import { nextOpening } from "../../shared/config/window.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { planRefusals } from "../policy/plan-policy.ts";
import { sleep } from "../transport/backoff.ts";
import type { SessionParts, Workplace } from "./ports.ts";
import type { Sender } from "./sender.ts";
import { Versions } from "./versions.ts";
import { Work } from "./work.ts";

/** An approved plan and everything that works on it. */
export interface Current {
  readonly plan: TrainingPlan;
  readonly configHash: Sha256;
  readonly place: Workplace;
  readonly work: Work;
  readonly versions: Versions;
}

export interface PlanningEvents {
  /** The plan worked under so far holds no more: whatever runs under it ends. */
  left(why: string): void;
  /** The site's data or engine cannot be used: a person must put it right. */
  broken(error: unknown): void;
}

/** Longest wait before the hours of site.yaml are looked at again: clocks are set. */
const HOURS_CHECK_MS = 60_000;

export class Planning {
  readonly #parts: SessionParts;
  readonly #sender: Sender;
  readonly #events: PlanningEvents;
  readonly #stopped: AbortSignal;
  #current: Current | null = null;
  /** Calls off the waiting for approval or hours. */
  #waiting = new AbortController();
  #queue: Promise<void> = Promise.resolve();
  #last: { readonly text: string; readonly configHash: Sha256 } | null = null;
  /** The plan that the audit log last says this site is ready for. */
  #told: Sha256 | null = null;

  constructor(parts: SessionParts, sender: Sender, events: PlanningEvents, stopped: AbortSignal) {
    this.#parts = parts;
    this.#sender = sender;
    this.#events = events;
    this.#stopped = stopped;
  }

  /** The plan that is approved and open; null: none. */
  get current(): Current | null {
    return this.#current;
  }

  /** The coordinator's plan, on every connection. */
  came(text: string, configHash: Sha256): void {
    this.#last = { text, configHash };
    this.#waiting.abort(new CodedError("ATTEMPT_OVER", "the plan came again"));
    const waiting = new AbortController();
    this.#waiting = waiting;
    const signal = AbortSignal.any([waiting.signal, this.#stopped]);
    this.#queue = this.#queue
      .then(() => this.#settle(text, configHash, signal))
      .catch((error: unknown) => {
        // A connection lost in between comes back with the plan; what the coordinator sent wrong it may correct.
        if (signal.aborted || isCoded(error, "DISCONNECTED")) return;
        this.#parts.log.error({ code: isCoded(error) ? error.code : undefined, configHash }, String(error));
      });
  }

  /** This site's hours have ended: ready again when they begin. */
  rest(): void {
    if (this.#last !== null) this.came(this.#last.text, this.#last.configHash);
  }

  /** Closes what is open; resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#waiting.abort(new CodedError("ATTEMPT_OVER", "the client stops"));
    await this.#queue;
    const current = this.#current;
    current?.work.forgetTraining();
    await current?.versions.settled();
    current?.place.dispose();
    this.#current = null;
  }

  async #settle(text: string, configHash: Sha256, signal: AbortSignal): Promise<void> {
    if (this.#current?.configHash !== configHash) {
      const plan = readPlan(text, configHash);
      await this.#parts.keepPlan(text);
      await this.#parts.audit?.append({ act: "plan received", facts: { configHash } });
      this.#leave();
      if (await this.#refused(plan, configHash)) return;
      await this.#approved(configHash, signal);
      this.#current = await this.#open(plan, configHash);
      if (this.#current === null) return;
    }
    await this.#approved(configHash, signal);
    await this.#hours(signal);
    const { place, versions } = this.#current;
    const installed = await place.models.installed();
    this.#sender.approvedUnder(configHash);
    await this.#ready(configHash);
    signal.throwIfAborted();
    await this.#sender.now({ type: "ready", configHash, version: installed?.link.version ?? -1 });
    signal.throwIfAborted();
    this.#sender.ready();
    // Whoever was away fetches what it missed.
    versions.catchUp();
  }

  /** Under whose approval this site takes part from now on; said once for each. */
  async #ready(configHash: Sha256): Promise<void> {
    const { audit, approvals } = this.#parts;
    const approval = audit === undefined ? null : await approvals.covering(configHash);
    if (approval === null || this.#told === configHash) return;
    this.#told = configHash;
    const facts = { configHash, approved: approval.configHash, by: approval.by, approvedAt: approval.at };
    await audit?.append({ act: "ready", facts });
  }

  #leave(): void {
    if (this.#current === null) return;
    this.#events.left("the plan changed");
    this.#sender.interrupted();
    this.#current.work.forgetTraining();
    this.#current.place.dispose();
    this.#current = null;
  }

  /** Tells both ends everything that the site's policy has against the plan. */
  async #refused(plan: TrainingPlan, configHash: Sha256): Promise<boolean> {
    const refusals = planRefusals(this.#parts.policy, plan);
    for (const { code, message } of refusals) this.#parts.log.error({ code, configHash }, message);
    const [first] = refusals;
    if (first === undefined) return false;
    const message = refusals.map((refusal) => refusal.message).join("; ");
    await this.#parts.audit?.append({ act: "refused", facts: { configHash, code: first.code, message } });
    // In place of a session's id the plan's hash: it is the plan that is declined.
    await this.#sender.now({ type: "decline", sid: configHash, reason: { code: first.code, message } });
    return true;
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

  async #open(plan: TrainingPlan, configHash: Sha256): Promise<Current | null> {
    const { workplace, self, options, room } = this.#parts;
    try {
      const place = await workplace(plan);
      const { random, ledger, policy, now } = this.#parts;
      const work = new Work(plan, place, {
        name: self.name,
        keepResult: options.keepResult,
        room,
        random,
        ledger,
        limit: policy.privacy,
        now,
      });
      const versions = new Versions(this.#parts, place, work, this.#sender, this.#stopped);
      return { plan, configHash, place, work, versions };
    } catch (error) {
      if (!this.#stopped.aborted) this.#events.broken(error);
      return null;
    }
  }
}
