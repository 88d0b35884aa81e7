/** A round waits for enough clients, and a little for those known to be on their way back. */
import { sampleCohort } from "../../cohort/sample.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { availableClients, isExpected, memberOf } from "../presence.ts";
import type { Rules } from "../rules.ts";
import type { ByClient, DurableEvent, Exclusion, FederationState, Recruiting, RoundFacts } from "../state.ts";
import { leastRoster, termsOf } from "./sum.ts";

export function newFacts(round: number, at: number): RoundFacts {
  return {
    round,
    startedAt: at,
    attempts: 1,
    cohort: [],
    survivors: [],
    excluded: {},
    totals: null,
    evaluation: null,
    seconds: { train: 0, secureAggregation: 0, aggregate: 0, evaluate: 0, release: 0 },
  };
}

/** The phase in which the given attempt of a round looks for its cohort. */
export function recruitingPhase(facts: RoundFacts, attempt: number, at: number, backoffMs: number): Recruiting {
  return { phase: "recruiting", facts: { ...facts, attempts: attempt }, attempt, since: at, notBefore: at + backoffMs };
}

/** Invitation of a cohort, or giving up a retry that finds nobody; null: wait. */
export function dueInRecruiting(
  rules: Rules,
  state: FederationState,
  current: Recruiting,
  now: number,
): DurableEvent | null {
  if (state.paused || now < current.notBefore) return null;
  const { round } = current.facts;
  const purpose = round === 0 ? "evaluation" : "training";
  const candidates = eligible(rules, state, current.facts.excluded, now);
  const clients = sampleCohort({ ...rules.cohort, min: cohortMin(rules) }, rules.seed, round, candidates);
  if (clients.length === 0) {
    const waited = now - Math.max(current.since, state.presence.since);
    if (current.attempt === 1 || waited < rules.deadlines.recruitMs) return null;
    const message = `attempt ${current.attempt} found ${candidates.length} clients, ${cohortMin(rules)} are needed`;
    return { type: "give-up", at: now, purpose, outcome: "failed", reason: { code: "ROUND_TOO_FEW", message } };
  }
  if (someoneReturns(rules, state, current.facts.excluded, now)) return null;
  const terms = termsOf(rules, state, leastRoster(rules, purpose), purpose);
  return { type: "invite", at: now, purpose, clients, terms };
}

function cohortMin(rules: Rules): number {
  return leastRoster(rules, "training");
}

/** Available clients that were not left out of this round, or have said since that they are ready again. */
export function eligible(
  rules: Rules,
  state: FederationState,
  excluded: ByClient<Exclusion>,
  now: number,
): ClientName[] {
  return availableClients(rules, state.presence, now).filter((client) => {
    const exclusion = excluded[client];
    if (exclusion === undefined || exclusion.lasting === false) return true;
    return exclusion.lasting !== "round" && (memberOf(state.presence, client).readyAt ?? 0) > exclusion.at;
  });
}

/** Is anybody on the way back who is not left out? At most for some seconds. */
export function someoneReturns(
  rules: Rules,
  state: FederationState,
  excluded: ByClient<Exclusion>,
  now: number,
  among: readonly ClientName[] = [...state.presence.members.keys()],
): boolean {
  return among.some((client) => excluded[client] === undefined && isExpected(rules, state.presence, client, now));
}
