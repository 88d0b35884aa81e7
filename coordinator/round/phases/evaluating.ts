/**
 * The new version is scored on the clients' own held-out data: a secure sum of its own, among the round's survivors
 * who are still there. Whatever happens here, the version stands; without a sum it is released as unevaluated.
 */
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { isGone } from "../presence.ts";
import type { Rules } from "../rules.ts";
import type {
  ByClient,
  DurableEvent,
  Evaluating,
  EvaluationSummary,
  Exclusion,
  FederationState,
  Reason,
  RoundFacts,
  Transition,
} from "../state.ts";
import { blamed } from "./accusations.ts";
import { eligible, someoneReturns } from "./recruiting.ts";
import { beginRelease } from "./releasing.ts";
import { endSession, keepEvidence, lastingOf, send, tellLeftOut } from "./session.ts";
import { askAll, beginSum, closePhase, leastRoster, termsOf } from "./sum.ts";
import { retryDelayMs } from "./training.ts";

/** After a commit: gathers evaluators where this round is scored, else goes on to the release. */
export function evaluateOrRelease(rules: Rules, state: FederationState, facts: RoundFacts, at: number): Transition {
  const { every } = rules.evaluation;
  if (every === 0 || facts.round % every !== 0) return beginRelease(rules, state, facts, at);
  const current: Evaluating = {
    phase: "evaluating",
    facts,
    since: at,
    attempt: 1,
    gatheringSince: at,
    notBefore: at,
    participants: facts.survivors,
    excluded: {},
    sum: null,
  };
  return { state: { ...state, current }, effects: [] };
}

/** While no sum is under way: invite the participants who are there, wait for those on their way, or give up. */
export function dueInGathering(
  rules: Rules,
  state: FederationState,
  current: Evaluating,
  now: number,
): DurableEvent | null {
  const since = Math.max(current.gatheringSince, state.presence.since);
  const least = leastRoster(rules, "evaluation");
  const among = new Set(current.participants);
  const clients = eligible(rules, state, current.excluded, now).filter((client) => among.has(client));
  const returning = someoneReturns(rules, state, current.excluded, now, current.participants);
  if (now >= current.notBefore && clients.length >= least && !returning) {
    return { type: "invite", at: now, purpose: "evaluation", clients, terms: termsOf(rules, state, least) };
  }
  const possible = current.participants.filter(
    (client) => clients.includes(client) || mayCome(rules, state, current, client, now),
  );
  if (possible.length >= least && now - since < rules.evaluation.patienceMs) return null;
  const message = `${clients.length} participants are there, ${least} are needed`;
  return {
    type: "give-up",
    at: now,
    purpose: "evaluation",
    outcome: "failed",
    reason: { code: "ROUND_TOO_FEW", message },
  };
}

/** Not there, but not for good: it has not said that it cannot score, and within one process it has not left. */
function mayCome(rules: Rules, state: FederationState, current: Evaluating, client: ClientName, now: number): boolean {
  if ((current.excluded[client]?.lasting ?? false) !== false) return false;
  return rules.liveness === "heartbeat" || !isGone(rules, state.presence, client, now);
}

/** Opens the secure sum of the invited clients' statistics. */
export function beginEvaluation(
  rules: Rules,
  state: FederationState,
  current: Evaluating,
  event: Extract<DurableEvent, { type: "invite" }>,
): Transition {
  const { version, paramsHash, transcriptDigest, history } = state;
  const { facts, attempt } = current;
  const what = { purpose: "evaluation", round: facts.round, attempt, version, paramsHash } as const;
  const sum = beginSum(
    rules,
    { ...what, transcriptDigest, history, clients: event.clients, terms: event.terms },
    event.at,
  );
  return { state: { ...state, current: { ...current, sum } }, effects: send(askAll(sum)) };
}

/** A phase of the evaluation closes. */
export function closeEvaluation(rules: Rules, state: FederationState, current: Evaluating, at: number): Transition {
  const { sum } = current;
  if (sum === null || sum.phase === "complete") return { state, effects: [] };
  const closed = closePhase(sum, at);
  if ("next" in closed) {
    const { next } = closed;
    const effects =
      next.phase === "complete" ? [{ type: "total", sum: next, facts: current.facts } as const] : send(askAll(next));
    return { state: { ...state, current: { ...current, sum: next } }, effects: [...tellLeftOut(sum), ...effects] };
  }
  if (current.attempt >= rules.attempts) return giveUpEvaluation(rules, state, current, "failed", closed.failed, at);
  const ended = endSession(state, sum, "failed", closed.failed);
  const next: Evaluating = {
    ...current,
    attempt: current.attempt + 1,
    gatheringSince: at,
    notBefore: at + retryDelayMs(rules, current.attempt),
    excluded: { ...current.excluded, ...lastingOf(sum, at) },
    sum: null,
  };
  return { state: { ...ended.state, current: next }, effects: ended.effects };
}

/** The scores are in: the session ends and the version is released with them. */
export function finishEvaluation(
  rules: Rules,
  state: FederationState,
  current: Evaluating,
  { summary, sum, at }: { readonly summary: EvaluationSummary; readonly sum: Sha256; readonly at: number },
): Transition {
  if (current.sum === null) return { state, effects: [] };
  const ended = endSession(state, current.sum, "completed", null, { sum, rejected: [], commit: null });
  const kept = current.sum.phase === "complete" ? keepEvidence(rules, current.sum, null) : [];
  const evaluated = { ...ended.state, lastMetrics: summary.metrics };
  const next = beginRelease(rules, evaluated, closed({ ...current.facts, evaluation: summary }, current, at), at);
  return { state: next.state, effects: [...kept, ...ended.effects, ...next.effects] };
}

/** The version goes out unevaluated. */
export function giveUpEvaluation(
  rules: Rules,
  state: FederationState,
  current: Evaluating,
  outcome: "failed" | "void",
  reason: Reason,
  at: number,
): Transition {
  const ended = current.sum === null ? { state, effects: [] } : endSession(state, current.sum, outcome, reason);
  const next = beginRelease(rules, ended.state, closed(current.facts, current, at), at);
  return { state: next.state, effects: [...ended.effects, ...next.effects] };
}

/** The facts with the evaluation's time, and with those that it was done without. */
function closed(facts: RoundFacts, current: Evaluating, at: number): RoundFacts {
  const { sum } = current;
  const blamedNow = sum === null || sum.phase === "complete" ? {} : blamed(sum, at);
  const left = Object.entries({ ...current.excluded, ...sum?.excluded, ...blamedNow } as Record<string, Exclusion>);
  const named = left.map(([client, out]) => [client, { ...out, message: `in the evaluation: ${out.message}` }]);
  return {
    ...facts,
    excluded: { ...(Object.fromEntries(named) as ByClient<Exclusion>), ...facts.excluded },
    seconds: { ...facts.seconds, evaluate: Math.max(0, at - current.since) / 1000 },
  };
}
