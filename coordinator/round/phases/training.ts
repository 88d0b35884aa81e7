/** The training attempt as a phase of the round: what its closing, failing and giving up lead to. */
import type { Rules } from "../rules.ts";
import type {
  DurableEvent,
  FederationState,
  Reason,
  Recruiting,
  RoundFacts,
  Sum,
  SumComplete,
  Training,
  Transition,
} from "../state.ts";
import { blamed } from "./accusations.ts";
import { endRound } from "./failed.ts";
import { names } from "./phase.ts";
import { recruitingPhase } from "./recruiting.ts";
import { addSeconds, endSession, lastingOf, send, tellLeftOut } from "./session.ts";
import { askAll, beginSum, closePhase } from "./sum.ts";

/** What a client answers to an attempt that is not above every one it remembers. */
const REPLAYED = "SECAGG_ATTEMPT_REPLAYED";
const ROUNDS_SKIPPED = 10;

/** The cohort is invited: the attempt begins. */
export function beginTraining(
  rules: Rules,
  state: FederationState,
  current: Recruiting,
  event: Extract<DurableEvent, { type: "invite" }>,
): Transition {
  const { version, paramsHash, transcriptDigest, history } = state;
  const { facts, attempt } = current;
  const what = { purpose: "training", round: facts.round, attempt, version, paramsHash } as const;
  const sum = beginSum(
    rules,
    { ...what, transcriptDigest, history, clients: event.clients, terms: event.terms },
    event.at,
  );
  const training: Training = { phase: "training", facts: { ...facts, cohort: sum.invited }, sum };
  return { state: { ...state, current: training, regulars: sum.invited }, effects: send(askAll(sum)) };
}

/** A phase of the attempt closes. */
export function closeTraining(rules: Rules, state: FederationState, current: Training, at: number): Transition {
  const closed = closePhase(current.sum, at);
  if ("failed" in closed) return failAttempt(rules, state, current, closed.failed, at);
  const { next } = closed;
  const told = tellLeftOut(current.sum);
  if (next.phase !== "complete") {
    return { state: { ...state, current: { ...current, sum: next } }, effects: [...told, ...send(askAll(next))] };
  }
  const facts: RoundFacts = {
    ...current.facts,
    survivors: names(next.inputs),
    excluded: { ...current.facts.excluded, ...next.excluded },
    seconds: addSeconds(current.facts, next),
  };
  return {
    state: { ...state, current: { phase: "updating", facts, since: at, sum: next } },
    effects: [...told, { type: "update", sum: next }],
  };
}

/** Nothing was revealed: the round may be tried again with fresh keys. */
function failAttempt(rules: Rules, state: FederationState, current: Training, reason: Reason, at: number): Transition {
  const { sum } = current;
  const { attempt } = sum.session;
  const replayed = Object.values(sum.excluded as Record<string, Reason>).some(({ code }) => code === REPLAYED);
  if (attempt > 1 && replayed) {
    // Clients remember rounds that this coordinator does not: a backup was restored. It catches up with them.
    const ahead = { ...state, round: state.round + ROUNDS_SKIPPED };
    return giveUpSum(rules, ahead, current.facts, sum, "failed", reason, at);
  }
  if (attempt >= rules.attempts) return giveUpSum(rules, state, current.facts, sum, "failed", reason, at);
  const ended = endSession(state, sum, "failed", reason);
  const facts: RoundFacts = {
    ...current.facts,
    excluded: { ...current.facts.excluded, ...lastingOf(sum, at) },
    seconds: addSeconds(current.facts, sum),
  };
  const next = recruitingPhase(facts, attempt + 1, at, retryDelayMs(rules, attempt));
  return { state: { ...ended.state, current: next }, effects: ended.effects };
}

/** The round ends without a new version: void when shares may have been revealed, failed otherwise. */
export function giveUpSum(
  rules: Rules,
  state: FederationState,
  facts: RoundFacts,
  sum: Sum | SumComplete,
  outcome: "failed" | "void",
  reason: Reason,
  at: number,
): Transition {
  const ended = endSession(state, sum, outcome, reason);
  const final: RoundFacts = {
    ...facts,
    excluded: { ...facts.excluded, ...sum.excluded, ...(sum.phase === "complete" ? {} : blamed(sum, at)) },
    seconds: sum.phase === "complete" ? facts.seconds : addSeconds(facts, sum),
  };
  const over = endRound(rules, ended.state, final, outcome, reason, at);
  return { state: over.state, effects: [...ended.effects, ...over.effects] };
}

/** At once the first time, then after ever longer pauses. */
export function retryDelayMs(rules: Rules, attempt: number): number {
  return attempt <= 1 ? 0 : Math.min(rules.backoffMs * 2 ** (attempt - 1), 60_000);
}
