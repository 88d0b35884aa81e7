/**
 * The round as a pure function: (state, event) -> state and effects. An event that does not fit the state is late,
 * repeated or meant for another session: it changes nothing. Nothing here throws.
 */
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { newFacts, recruitingPhase } from "./phases/recruiting.ts";
import {
  beginEvaluation,
  closeEvaluation,
  evaluateOrRelease,
  finishEvaluation,
  giveUpEvaluation,
} from "./phases/evaluating.ts";
import { endRound } from "./phases/failed.ts";
import { finishRelease } from "./phases/releasing.ts";
import { leaveOut, send } from "./phases/session.ts";
import { asksFor, recordStep } from "./phases/sum.ts";
import { beginTraining, closeTraining, giveUpSum } from "./phases/training.ts";
import { commit, failUpdate } from "./phases/updating.ts";
import { emptyPresence, hear, hearAll, heardStep, memberOf } from "./presence.ts";
import type { Rules } from "./rules.ts";
import {
  isDurable,
  type DurableEvent,
  type Effect,
  type FederationState,
  type Outgoing,
  type PassingEvent,
  type RoundEvent,
  type Sum,
  type SumComplete,
  type Transition,
} from "./state.ts";

/** A federation whose version 0 was just committed. */
export function initialState(
  rules: Rules,
  paramsHash: Sha256,
  serverState: Sha256,
  transcriptDigest: Sha256,
): FederationState {
  return {
    schema: 1,
    paused: false,
    stopping: null,
    triggered: false,
    round: rules.evaluation.every === 0 ? 0 : -1,
    completed: 0,
    failures: 0,
    version: 0,
    paramsHash,
    serverStates: [serverState],
    lastSum: null,
    transcriptDigest,
    history: { before: transcriptDigest, links: [] },
    regulars: [],
    lastStartedAt: null,
    released: null,
    lastMetrics: null,
    ended: [],
    current: { phase: "idle", since: 0, notBefore: 0, reason: null },
    presence: emptyPresence(0),
  };
}

/** The whole round as a function: what is known and what happened, to what is known now and what is to be done. */
export function transition(rules: Rules, state: FederationState, event: RoundEvent): Transition {
  return isDurable(event) ? durable(rules, state, event) : passing(state, event);
}

function durable(rules: Rules, state: FederationState, event: DurableEvent): Transition {
  const { current } = state;
  switch (event.type) {
    case "step": {
      const sum = currentSum(state);
      if (sum === null || sum.phase === "complete" || sum.sid !== event.signed.sid) return unchanged(state);
      const presence = heardStep(state.presence, event.client, sum.sid, event.at);
      return unchanged(withSum({ ...state, presence }, recordStep(sum, event)));
    }
    case "exclude": {
      const sum = currentSum(state);
      if (sum === null || sum.phase === "complete" || sum.sid !== event.sid) return unchanged(state);
      const { client, reason, at, lasting, accusation } = event;
      const left = leaveOut(sum, client, { ...reason, at, lasting, ...(accusation !== undefined && { accusation }) });
      return { state: withSum(state, left.sum), effects: left.effects };
    }
    case "recruit": {
      if (!(isResting(state) || isDone(state)) || event.round <= state.round) return unchanged(state);
      const next = recruitingPhase(newFacts(event.round, event.at), 1, event.at, 0);
      return unchanged({ ...state, round: event.round, lastStartedAt: event.at, current: next });
    }
    case "invite":
      return invite(rules, state, event);
    case "close": {
      const sum = currentSum(state);
      if (sum === null || sum.sid !== event.sid || sum.phase !== event.phase) return unchanged(state);
      if (current.phase === "training") return closeTraining(rules, state, current, event.at);
      return current.phase === "evaluating" ? closeEvaluation(rules, state, current, event.at) : unchanged(state);
    }
    case "give-up":
      return giveUp(rules, state, event);
    case "committed":
      if (current.phase !== "updating" || current.sum.sid !== event.sid) return unchanged(state);
      return commit(rules, state, current, event);
    case "evaluated":
      if (current.phase !== "evaluating" || current.sum?.phase !== "complete" || current.sum.sid !== event.sid) {
        return unchanged(state);
      }
      return finishEvaluation(rules, state, current, event);
    case "sum-failed":
      if (currentSum(state)?.sid !== event.sid) return unchanged(state);
      if (current.phase === "updating") return failUpdate(rules, state, current, event.reason, event.at);
      if (current.phase !== "evaluating") return unchanged(state);
      return giveUpEvaluation(rules, state, current, "failed", event.reason, event.at);
    case "released":
      if (current.phase !== "releasing" || event.version !== state.version) return unchanged(state);
      return finishRelease(state, current, event);
    case "finish":
      return finish(state, event);
    case "pause":
    case "resume":
      return unchanged({ ...state, paused: event.type === "pause" });
    case "trigger":
      return unchanged({ ...state, triggered: true });
    case "stop":
      return unchanged({ ...state, stopping: state.stopping ?? event.reason });
  }
}

function invite(rules: Rules, state: FederationState, event: Extract<DurableEvent, { type: "invite" }>): Transition {
  const { current } = state;
  if (event.clients.length === 0) return unchanged(state);
  if (current.phase === "evaluating" && current.sum === null && event.purpose === "evaluation") {
    return beginEvaluation(rules, state, current, event);
  }
  if (current.phase !== "recruiting" || (event.purpose === "training") === (current.facts.round === 0))
    return unchanged(state);
  // The round that was asked for begins.
  const begun = current.attempt === 1 ? { ...state, triggered: false } : state;
  if (event.purpose === "training") return beginTraining(rules, begun, current, event);
  // Round 0: those recruited score the model as it was made.
  const facts = { ...current.facts, cohort: event.clients, survivors: event.clients };
  const recruited = { ...begun, regulars: event.clients };
  const { state: next } = evaluateOrRelease(rules, recruited, facts, event.at);
  return next.current.phase === "evaluating" ? beginEvaluation(rules, next, next.current, event) : unchanged(state);
}

function giveUp(rules: Rules, state: FederationState, event: Extract<DurableEvent, { type: "give-up" }>): Transition {
  const { current } = state;
  const { purpose, reason, at } = event;
  if (current.phase === "evaluating" && purpose === "evaluation" && current.sum?.phase !== "complete") {
    return giveUpEvaluation(rules, state, current, event.outcome, reason, at);
  }
  if (current.phase === "training" && purpose === "training") {
    // Once shares may be known the round is void, whatever the reason.
    const outcome = current.sum.phase === "unmasking" ? "void" : event.outcome;
    return giveUpSum(rules, state, current.facts, current.sum, outcome, reason, at);
  }
  if (current.phase === "recruiting") return endRound(rules, state, current.facts, "failed", reason, at);
  return unchanged(state);
}

function finish(state: FederationState, event: Extract<DurableEvent, { type: "finish" }>): Transition {
  if (!isResting(state) && state.current.phase !== "recruiting") return unchanged(state);
  if (state.current.phase === "finished") return unchanged(state);
  const { reason, at } = event;
  const effects: Effect[] = [...state.presence.members.keys()].map((client) => ({
    type: "send",
    client,
    message: { type: "stopped", reason: reason.message },
  }));
  return {
    state: { ...state, current: { phase: "finished", since: at, notBefore: at, reason } },
    effects: [...effects, { type: "snapshot" }, { type: "finished", reason }],
  };
}

function passing(state: FederationState, event: PassingEvent): Transition {
  if (event.type === "heartbeat") return listen(state, [event]);
  const next = { ...state, presence: hear(state.presence, event) };
  if (event.type !== "connected" && event.type !== "ready") return unchanged(next);
  const { client } = event;
  return { state: next, effects: send(owed(next, client).map((message) => ({ client, message }))) };
}

/** As {@link transition} of one heartbeat after the other. */
export function listen(
  state: FederationState,
  heartbeats: readonly Extract<PassingEvent, { type: "heartbeat" }>[],
): Transition {
  const missed = heartbeats.flatMap(({ client, sid }) => {
    // It is still in a session that is over: it missed the end.
    const ended = state.ended.find((session) => session.sid === sid);
    return ended === undefined ? [] : [{ client, message: { type: "ended", ended } as const }];
  });
  return { state: { ...state, presence: hearAll(state.presence, heartbeats) }, effects: send(missed) };
}

/** Everything a client that just came (back) must hear. Receivers recognise what they know already. */
function owed(state: FederationState, client: ClientName): Outgoing[] {
  const { current } = state;
  if (current.phase === "finished") return [{ type: "stopped", reason: current.reason?.message ?? "finished" }];
  const member = memberOf(state.presence, client);
  const messages: Outgoing[] = [];
  const ended = state.ended.find((session) => session.sid === member.sid);
  if (ended !== undefined) messages.push({ type: "ended", ended });
  if (member.readyAt !== null) {
    const { version, released } = state;
    if (member.version < version) messages.push({ type: "committed", version });
    if (released !== null && member.version < released.version) messages.push({ type: "released", ...released });
  }
  const sum = currentSum(state);
  if (sum !== null && sum.phase !== "complete") messages.push(...asksFor(sum, client));
  return messages;
}

/** Work that must be begun (again) by a process that takes over in this state. */
export function pendingWork(state: FederationState): Effect[] {
  const { current } = state;
  if (current.phase === "updating") return [{ type: "update", sum: current.sum }];
  if (current.phase === "evaluating" && current.sum?.phase === "complete") {
    return [{ type: "total", sum: current.sum, facts: current.facts }];
  }
  if (current.phase === "releasing") return [{ type: "release", facts: current.facts, version: state.version }];
  if (current.phase === "finished" && current.reason !== null) return [{ type: "finished", reason: current.reason }];
  return [];
}

/** The secure sum under way, or waiting for its total. */
export function currentSum(state: FederationState): Sum | SumComplete | null {
  const { current } = state;
  return current.phase === "training" || current.phase === "updating" || current.phase === "evaluating"
    ? current.sum
    : null;
}

function withSum(state: FederationState, sum: Sum): FederationState {
  const { current } = state;
  if (current.phase === "training") return { ...state, current: { ...current, sum } };
  return current.phase === "evaluating" ? { ...state, current: { ...current, sum } } : state;
}

/** Finished by its stop rule, which the operator may move on. */
export function isDone({ current }: FederationState): boolean {
  return current.phase === "finished" && current.reason?.code === "DONE";
}

function isResting(state: FederationState): boolean {
  return ["idle", "failed", "void"].includes(state.current.phase);
}

function unchanged(state: FederationState): Transition {
  return { state, effects: [] };
}
