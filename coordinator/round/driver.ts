/**
 * The one loop with I/O. Inputs queue up; a batch of them is folded through the reducer together with the decisions that
 * follow, its durable events are appended in one write, and only then is the new state adopted, are clients
 * acknowledged and effects carried out. A process that takes over replays the log and asks again for what is pending.
 */
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Happened } from "../audit/acts.ts";
import { Journal } from "./journal.ts";
import { asError } from "./inbox.ts";
import { decide, stopRule } from "./decide.ts";
import { Listening } from "./listening.ts";
import { emptyPresence, hear } from "./presence.ts";
import { judgeStep } from "./phases/sum.ts";
import type { CoordinatorParts } from "./parts.ts";
import type { Rules } from "./rules.ts";
import { isDurable, type Effect, type FederationState, type Reason, type RoundEvent } from "./state.ts";
import { currentSum, initialState, isDone, pendingWork, transition } from "./transition.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NO_TRANSCRIPT } from "../../shared/secagg/session.ts";

interface Input {
  readonly event: RoundEvent;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Effects that leave something behind, or take it away, in this order. */
type Kept = Extract<Effect, { type: "keep-round" | "keep-evidence" | "keep-transcript" | "discard" }>;

function isRecord(effect: Effect): effect is Kept {
  return effect.type.startsWith("keep-") || effect.type === "discard";
}

/** What carries out effects; everything here may be asked for twice. */
export interface Hands {
  send(effect: Extract<Effect, { type: "send" }>): void;
  /** Resolves when everything is on its way. */
  sent(): Promise<void>;
  /** Background work; comes to an event, or throws what may pass. */
  work(effect: Extract<Effect, { type: "update" | "total" | "release" }>, state: FederationState): Promise<RoundEvent>;
  keep(effect: Kept): Promise<void>;
  /** Writes durable events into the audit log; asked again after a crash for those since the last snapshot. */
  audit?(happened: readonly Happened[]): Promise<void>;
  beginning(): Promise<{ paramsHash: Sha256; serverState: Sha256 }>;
}

/** Pause before something that failed is tried again. */
const AGAIN_MS = 1_000;
/** More decisions in one go are a mistake in the reducer, not progress. */
const MOST_DECISIONS = 1_000;

export class Driver {
  readonly #parts: Pick<CoordinatorParts, "store" | "clock" | "observer" | "options" | "pause">;
  readonly #rules: Rules;
  readonly #hands: Hands;
  readonly #journal: Journal;
  readonly #finished = openFinished();
  readonly #working = new Set<string>();
  #state: FederationState | null = null;
  #queue: Input[] = [];
  readonly #listening = new Listening();
  #timeTold = true;
  #turning = false;
  #closed = false;
  #keeping: Promise<void> = Promise.resolve();
  #untick: () => void = () => undefined;

  constructor(
    parts: Pick<CoordinatorParts, "store" | "clock" | "observer" | "options" | "pause">,
    rules: Rules,
    hands: Hands,
  ) {
    this.#parts = parts;
    this.#rules = rules;
    this.#hands = hands;
    this.#journal = new Journal(parts.store);
  }

  get state(): FederationState {
    if (this.#state === null) throw new Error("the driver was not opened");
    return this.#state;
  }

  /** Resolves when the stop rule or the operator has ended the federation; rejects with what a person must put right. */
  get finished(): Promise<Reason> {
    return this.#finished.promise;
  }

  /** Takes over where the last process ended, or begins; the `enrolled` may come (back) soon. */
  async open(enrolled: readonly ClientName[]): Promise<void> {
    const saved = await this.#journal.recover();
    const at = this.#parts.clock.now();
    const presence = hear(emptyPresence(at), { type: "started", at, enrolled });
    if (saved === null) {
      const { paramsHash, serverState } = await this.#hands.beginning();
      this.#state = {
        ...initialState(this.#rules, paramsHash, serverState, NO_TRANSCRIPT),
        presence,
      };
      await this.#journal.snapshot(this.#state);
      return;
    }
    let state: FederationState = { ...saved.state, presence };
    const kept: Effect[] = [];
    const happened: Happened[] = [];
    const [first] = this.#journal.numbers(saved.events.length);
    for (const [i, event] of saved.events.entries()) {
      const before = state;
      const next = transition(this.#rules, state, event);
      // Presence is of this process: what was heard before it is gone.
      state = { ...next.state, presence: state.presence };
      happened.push({ number: (first ?? 0) + i, event, before, after: state });
      kept.push(...next.effects.filter(isRecord));
    }
    const goesOn = isDone(state) && stopRule(this.#rules, state, at) === null;
    this.#state = goesOn ? { ...state, current: { phase: "idle", since: at, notBefore: at, reason: null } } : state;
    for (const effect of kept) this.#keep(effect);
    this.#audit(happened);
    await this.#keeping;
  }

  /** Begins to act: what was pending, and time. */
  start(): void {
    if (this.#closed) return;
    for (const effect of pendingWork(this.state)) this.#carryOut(effect);
    this.#tick();
  }

  /** Resolves when everything asked for so far is kept. */
  recorded(): Promise<void> {
    return this.#keeping;
  }

  /** Ends this process's part; the federation goes on when another takes over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#untick();
    for (const { reject } of this.#queue.splice(0)) reject(closing());
    await this.#keeping;
  }

  /**
   * Resolves when the event counts: durable if it must be. Rejects with the reason when a step no longer fits. Heartbeats
   * count with whatever comes next, at the latest when time is told.
   */
  submit(event: RoundEvent): Promise<void> {
    if (this.#closed) return Promise.reject(closing());
    if (event.type === "heartbeat") {
      this.#listening.heartbeat(event);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ event, resolve, reject });
      if (!this.#turning) {
        this.#turning = true;
        void this.#turn();
      }
    });
  }

  async #turn(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#closed) {
        // What other clients sent at the same time joins this batch: one write to disk for all.
        await this.#parts.pause();
        const batch = this.#queue.splice(0);
        try {
          await this.#batch(batch);
        } catch (error) {
          for (const { reject } of batch) reject(closing());
          throw error;
        }
      }
    } catch (error) {
      if (this.#closed) return;
      this.#parts.observer.trouble?.("the round's loop", error);
      // Nothing more is decided by a state that contradicts itself: the next process begins from what is durable.
      this.#finished.reject(error);
      await this.close();
    } finally {
      this.#turning = false;
    }
  }

  async #batch(inputs: readonly Input[]): Promise<void> {
    const waiting = inputs.map(({ event }) => event);
    const heard = this.#listening.take(this.state, waiting, this.#parts.clock.now());
    let { state } = heard;
    const passed: { event: RoundEvent; before: FederationState; state: FederationState }[] = [];
    const effects: Effect[] = [...heard.effects];
    const answers: (() => void)[] = [];
    const apply = (event: RoundEvent): void => {
      const next = transition(this.#rules, state, event);
      if (next.state === state && next.effects.length === 0) return;
      const before = state;
      state = next.state;
      effects.push(...next.effects);
      passed.push({ event, before, state });
    };
    const settle = (at: number): void => {
      for (let i = 0; ; i++) {
        const decision = decide(this.#rules, state, at);
        if (decision === null) return;
        if (i === MOST_DECISIONS) throw new Error(`no end of decisions: ${JSON.stringify(decision)}`);
        apply(decision);
      }
    };
    for (const [i, { event, resolve, reject }] of inputs.entries()) {
      const refusal = refusalOf(state, event);
      if (refusal === null) {
        apply(event);
        answers.push(resolve);
      } else answers.push(() => reject(refusal));
      const together = event.type === "step" && inputs[i + 1]?.event.type === "step" && takesAll(state);
      if (!together) settle(event.at);
    }
    const durable = passed.flatMap(({ event, before, state: after }) =>
      isDurable(event) ? [{ event, before, after }] : [],
    );
    let numbers: readonly number[] = [];
    if (durable.length > 0) {
      const events = durable.map(({ event }) => event);
      numbers = await this.#journal.append(events, async (error) => {
        this.#parts.observer.trouble?.("writing the event log", error);
        if (this.#closed) throw closing();
        await this.#pause(AGAIN_MS);
      });
    }
    this.#state = state;
    this.#audit(durable.map((happened, i) => ({ ...happened, number: numbers[i] as number })));
    for (const answer of answers) answer();
    for (const event of heard.heartbeats) this.#parts.observer.event?.(event, heard.state);
    for (const { event, state: after } of passed) this.#parts.observer.event?.(event, after);
    for (const effect of effects) {
      if (effect.type !== "snapshot") this.#carryOut(effect);
    }
    if (effects.some(({ type }) => type === "snapshot")) await this.#snapshot();
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#hands.send(effect);
        return;
      case "update":
      case "total":
      case "release":
        void this.#work(effect);
        return;
      case "keep-round":
      case "keep-evidence":
      case "keep-transcript":
      case "discard":
        this.#keep(effect);
        return;
      case "finished":
        void Promise.all([this.#keeping, this.#hands.sent()]).then(() => this.#finished.resolve(effect.reason));
        return;
      case "snapshot":
    }
  }

  async #work(effect: Extract<Effect, { type: "update" | "total" | "release" }>): Promise<void> {
    const name = effect.type === "release" ? `release ${effect.version}` : `${effect.type} ${effect.sum.sid}`;
    if (this.#working.has(name)) return;
    this.#working.add(name);
    while (!this.#closed) {
      try {
        await this.submit(await this.#hands.work(effect, this.state));
        break;
      } catch (error) {
        if (this.#closed) break;
        this.#parts.observer.trouble?.(name, error);
        // Stored bytes that are damaged stay so, however often they are read.
        if (isCoded(error, "STORE_CORRUPT")) {
          this.#finished.reject(error);
          break;
        }
        await this.#pause(AGAIN_MS);
      }
    }
    this.#working.delete(name);
  }

  /** In order, each until it succeeds: records must not be lost, and the snapshot waits for them. */
  #keep(effect: Effect): void {
    if (isRecord(effect)) this.#inOrder(effect.type, () => this.#hands.keep(effect));
  }

  #inOrder(what: string, work: () => Promise<void>): void {
    this.#keeping = this.#keeping.then(async () => {
      while (!this.#closed) {
        try {
          return await work();
        } catch (error) {
          this.#parts.observer.trouble?.(what, error);
          await this.#pause(AGAIN_MS);
        }
      }
    });
  }

  /** In its turn among the records, so that the snapshot waits for it, too. */
  #audit(happened: readonly Happened[]): void {
    const { audit } = this.#hands;
    if (audit === undefined || happened.length === 0) return;
    this.#inOrder("the audit log", () => audit(happened));
  }

  async #snapshot(): Promise<void> {
    await this.#keeping;
    // Records that could not be kept any more are kept by the next process, from the log.
    if (this.#closed) return;
    try {
      await this.#journal.snapshot(this.state);
    } catch (error) {
      // The log still has everything; the next round's snapshot covers it.
      this.#parts.observer.trouble?.("saving a snapshot", error);
    }
  }

  #tick(): void {
    if (this.#closed) return;
    const { clock, options } = this.#parts;
    this.#listening.again(clock.now(), options.tickMs);
    this.#untick = clock.after(options.tickMs, () => {
      // One waits at most, however long the batch before it takes.
      if (this.#timeTold) {
        this.#timeTold = false;
        this.submit({ type: "tick", at: clock.now() })
          .catch(() => undefined)
          .finally(() => (this.#timeTold = true));
      }
      this.#tick();
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(ms, resolve);
    });
  }
}

/** Answers that came together are taken together, where no certain number of them suffices: what follows is decided once. */
function takesAll(state: FederationState): boolean {
  const sum = currentSum(state);
  return sum !== null && sum.enough === undefined;
}

/** Judged again at its turn: what was new when it came may be late, or known, by now. */
function refusalOf(state: FederationState, event: RoundEvent): CodedError | null {
  if (event.type !== "step") return null;
  const sum = currentSum(state);
  if (sum === null || sum.sid !== event.signed.sid) {
    return new CodedError("ROUND_LATE", `${event.signed.step} came after the attempt was over`, {
      client: event.client,
    });
  }
  const judgement = judgeStep(sum, event.client, event.signed);
  return typeof judgement === "object" ? asError(judgement, event.client) : null;
}

function openFinished(): {
  readonly promise: Promise<Reason>;
  readonly resolve: (reason: Reason) => void;
  readonly reject: (error: unknown) => void;
} {
  let resolve: (reason: Reason) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<Reason>((...settle) => {
    [resolve, reject] = settle;
  });
  // Nobody need wait for the end.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

function closing(): CodedError {
  return new CodedError("DISCONNECTED", "the coordinator is stopping");
}
