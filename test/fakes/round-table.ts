/** The reducer alone with clients of paper: every event by hand, decisions as the driver takes them, a log to replay. */
import { hashOf } from "../../shared/canonical.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { NO_TRANSCRIPT } from "../../shared/secagg/session.ts";
import { graphRule } from "../../shared/secagg/sharing-graph.ts";
import type { SignedStep, Step } from "../../shared/secagg/signed.ts";
import { decide } from "../../coordinator/round/decide.ts";
import { judgeStep } from "../../coordinator/round/phases/sum.ts";
import { emptyPresence } from "../../coordinator/round/presence.ts";
import type { Rules } from "../../coordinator/round/rules.ts";
import {
  isDurable,
  type DurableEvent,
  type Effect,
  type FederationState,
  type Outgoing,
  type RoundEvent,
} from "../../coordinator/round/state.ts";
import { currentSum, initialState, transition } from "../../coordinator/round/transition.ts";

const SERVER_STATE = "5".repeat(64) as Sha256;

export function fakeRules(changes: Partial<Rules> = {}): Rules {
  return {
    federation: "f".repeat(64),
    configHash: "c".repeat(64) as Sha256,
    seed: 7,
    mode: "malicious",
    cohort: { fraction: 1, min: 4, max: 16, overSelect: 1.3 },
    minSurvivors: 3,
    graph: graphRule({ dropoutRate: 0.1, corruptionRate: 0.1 }),
    deadlines: { recruitMs: 600_000, shareKeysMs: 120_000, trainMs: "progress", unmaskMs: 120_000 },
    patienceMs: 600_000,
    evaluation: { every: 1, patienceMs: 600_000 },
    stop: { rounds: 1, untilMetric: null, untilMs: null, failures: Number.POSITIVE_INFINITY },
    schedule: { kind: "continuous" },
    privacy: null,
    liveness: "heartbeat",
    attempts: 5,
    heartbeatMs: 1_000,
    backoffMs: 1_000,
    keepInputs: 0,
    sidOf: hashOf,
    revoked: () => null,
    ...changes,
  };
}

/** What each coordinator message makes an honest client answer. */
const ANSWER: Partial<Record<Outgoing["type"], Step>> = {
  begin: "advertise-keys",
  roster: "share-keys",
  shares: "masked-input",
  survivors: "consistency",
  signatures: "unmask",
};

export class RoundTable {
  readonly rules: Rules;
  state: FederationState;
  now = 1_000_000;
  /** As the driver would have written it. */
  readonly log: DurableEvent[] = [];
  readonly effects: Effect[] = [];
  /** Messages that each client has received and not answered. */
  readonly mail = new Map<ClientName, Outgoing[]>();
  readonly #start: FederationState;

  constructor(rules: Rules) {
    this.rules = rules;
    const presence = emptyPresence(this.now);
    this.state = { ...initialState(rules, "1".repeat(64) as Sha256, SERVER_STATE, NO_TRANSCRIPT), presence };
    this.#start = this.state;
  }

  get phase(): string {
    const sum = currentSum(this.state);
    const { phase } = this.state.current;
    return sum === null || phase === "updating" ? phase : `${sum.session.purpose} ${sum.phase}`;
  }

  /** Feeds one event, then everything that is decided from it. */
  feed(event: RoundEvent): void {
    // As the driver: a step that is late, known or refused is answered, not written down.
    if (event.type === "step") {
      const sum = currentSum(this.state);
      if (sum === null || sum.sid !== event.signed.sid || judgeStep(sum, event.client, event.signed) !== "new") return;
    }
    this.#apply(event);
    for (let i = 0; i < 100; i++) {
      const decision = decide(this.rules, this.state, event.at);
      if (decision === null) return;
      this.#apply(decision);
    }
    throw new Error("no end of decisions");
  }

  #apply(event: RoundEvent): void {
    const next = transition(this.rules, this.state, event);
    if (isDurable(event) && (next.state !== this.state || next.effects.length > 0)) this.log.push(event);
    this.state = next.state;
    this.effects.push(...next.effects);
    for (const effect of next.effects) {
      if (effect.type !== "send" || !this.member(effect.client)) continue;
      this.mail.set(effect.client, [...(this.mail.get(effect.client) ?? []), effect.message]);
    }
  }

  member(client: ClientName): boolean {
    return this.state.presence.members.get(client)?.connected === true;
  }

  pass(ms: number, beating: readonly string[] = []): void {
    this.now += ms;
    for (const client of beating) this.beat(client);
    this.feed({ type: "tick", at: this.now });
  }

  beat(client: string, sid: string | null = currentSum(this.state)?.sid ?? null): void {
    this.feed({ type: "heartbeat", at: this.now, client: client as ClientName, sid, progress: null });
  }

  come(...clients: string[]): void {
    if (this.state.presence.members.size === 0) {
      this.feed({ type: "started", at: this.now, enrolled: clients as ClientName[] });
    }
    for (const client of clients as ClientName[]) {
      this.feed({ type: "connected", at: this.now, client });
      this.feed({ type: "ready", at: this.now, client, version: this.state.version });
    }
  }

  go(...clients: string[]): void {
    for (const client of clients as ClientName[]) this.feed({ type: "disconnected", at: this.now, client });
  }

  signed(client: string, step: Step, payload = `${step} of ${client}`): SignedStep {
    const sum = currentSum(this.state);
    const { purpose, round, attempt } = sum?.session ?? { purpose: "training", round: 1, attempt: 1 };
    return {
      federation: this.rules.federation as Sha256,
      sid: sum?.sid ?? ("0".repeat(64) as Sha256),
      purpose,
      round,
      attempt,
      step,
      sender: client as ClientName,
      recipient: "@coordinator",
      payload,
      signature: "s".repeat(86),
    };
  }

  step(client: string, step: Step, payload?: string): void {
    const signed = this.signed(client, step, payload);
    const vector = step === "masked-input" ? { hash: hashOf([client, signed.sid]), bytes: 400 } : null;
    this.feed({ type: "step", at: this.now, client: client as ClientName, signed, vector });
  }

  /** Every client of the list answers the last question it was asked, in this order. */
  answer(...clients: string[]): void {
    for (const client of clients as ClientName[]) {
      const asks = (this.mail.get(client) ?? []).filter(({ type }) => ANSWER[type] !== undefined);
      this.mail.set(client, []);
      for (const ask of asks) {
        const off = ask.type === "begin" && this.rules.mode === "off";
        this.step(client, off ? "masked-input" : (ANSWER[ask.type] as Step));
      }
    }
  }

  /** The coordinator's own work comes to an end. */
  work(): void {
    const { current, version } = this.state;
    const at = this.now;
    if (current.phase === "updating") {
      const totals = { weight: 4, examples: 32, examplesSeen: 64, loss: 0.5, deltaNorm: 1, clippedShare: 0 };
      const paramsHash = hashOf(["params", Object.keys(current.sum.inputs).toSorted(), version + 1]);
      const serverState = hashOf(["state", version + 1]);
      const { sid } = current.sum;
      const made = {
        version: version + 1,
        paramsHash,
        serverState,
        sum: hashOf(["sum", sid]),
        link: hashOf(["link", sid]),
      };
      this.feed({ type: "committed", at, sid, ...made, totals, rejected: {} });
    } else if (current.phase === "evaluating" && current.sum?.phase === "complete") {
      const summary = { clients: Object.keys(current.sum.inputs).length, metrics: {}, modelMetrics: {} };
      this.feed({ type: "evaluated", at, sid: current.sum.sid, sum: hashOf(["sum", current.sum.sid]), summary });
    } else if (current.phase === "releasing") {
      this.feed({ type: "released", at, version, manifestHash: hashOf(["manifest", version]), reason: null });
    }
  }

  /** Everybody answers and all work is done until the given phase is reached, or nothing moves any more. */
  until(phase: string, ...clients: string[]): void {
    for (let i = 0; i < 200 && this.phase !== phase; i++) {
      this.now += 10;
      for (const client of clients) {
        if (this.phase === phase) return;
        this.answer(client);
      }
      if (this.phase === phase) return;
      this.work();
      if (this.phase !== phase) this.feed({ type: "tick", at: this.now });
    }
    if (this.phase !== phase) throw new Error(`stays in ${this.phase}, never reaches ${phase}`);
  }

  /** The state that a new process gets from the log. */
  replayed(): Omit<FederationState, "presence"> {
    let state = this.#start;
    for (const event of JSON.parse(JSON.stringify(this.log)) as DurableEvent[]) {
      const next = transition(this.rules, state, event);
      state = { ...next.state, presence: this.#start.presence };
    }
    return withoutPresence(state);
  }

  get durable(): Omit<FederationState, "presence"> {
    return withoutPresence(this.state);
  }

  rounds(): Extract<Effect, { type: "keep-round" }>[] {
    return this.effects.filter((effect) => effect.type === "keep-round");
  }
}

export function withoutPresence({ presence: _presence, ...state }: FederationState): Omit<FederationState, "presence"> {
  return state;
}

export const SITES = ["a", "b", "c", "d", "e"] as const;
