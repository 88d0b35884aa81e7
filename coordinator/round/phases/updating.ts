/** The sum is being unmasked and decoded, the server optimizer takes its step, and the new version is committed. */
import type { Rules } from "../rules.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { sortedNames } from "../rules.ts";
import type { DurableEvent, Effect, FederationState, Reason, RoundFacts, Transition, Updating } from "../state.ts";
import { evaluateOrRelease } from "./evaluating.ts";
import { endSession, keepEvidence, send } from "./session.ts";
import { giveUpSum } from "./training.ts";

/** Newest server states kept; the one before allows checking the last step. */
const SERVER_STATES_KEPT = 2;

/** The new version is durable: the training session ends and the vectors may go. */
export function commit(
  rules: Rules,
  state: FederationState,
  current: Updating,
  event: Extract<DurableEvent, { type: "committed" }>,
): Transition {
  const { version, paramsHash, link, serverState, clipNorm, sum, totals, rejected, at } = event;
  const made = { serverStateBefore: state.serverStates[0] as Sha256, serverState, version, paramsHash, link };
  const ended = endSession(state, current.sum, "completed", null, {
    sum,
    rejected: sortedNames(Object.keys(rejected)),
    commit: made,
  });
  const states = [serverState, ...state.serverStates.filter((hash) => hash !== serverState)];
  const facts: RoundFacts = {
    ...current.facts,
    totals,
    survivors: current.facts.survivors.filter((client) => rejected[client] === undefined),
    excluded: { ...current.facts.excluded, ...rejected },
    seconds: { ...current.facts.seconds, aggregate: (at - current.since) / 1000 },
  };
  const { clipNorm: _before, ...others } = ended.state;
  const committed: FederationState = {
    ...others,
    ...(clipNorm !== undefined && { clipNorm }),
    version,
    paramsHash,
    serverStates: states.slice(0, SERVER_STATES_KEPT),
    lastSum: sum,
    failures: 0,
  };
  const members = [...state.presence.members.keys()];
  const effects: Effect[] = [
    ...keepEvidence(rules, current.sum, made),
    ...ended.effects,
    ...send(members.map((client) => ({ client, message: { type: "committed", version } }))),
  ];
  const old = [...states.slice(SERVER_STATES_KEPT), ...(state.lastSum === null ? [] : [state.lastSum])];
  if (rules.keepInputs > 0) old.push(current.sum.session.parentHash);
  if (old.length > 0) effects.push({ type: "discard", blobs: old });
  const next = evaluateOrRelease(rules, committed, facts, at);
  return { state: next.state, effects: [...effects, ...next.effects] };
}

/** The sum cannot be right: a secret or a total is impossible. Shares were revealed, so it cannot be tried again. */
export function failUpdate(
  rules: Rules,
  state: FederationState,
  current: Updating,
  reason: Reason,
  at: number,
): Transition {
  const outcome = current.sum.mode === "off" ? "failed" : "void";
  return giveUpSum(rules, state, current.facts, current.sum, outcome, reason, at);
}
