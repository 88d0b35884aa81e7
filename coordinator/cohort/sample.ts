/**
 * Who is invited to a round. Every client draws its own place in the queue from (seed, round, name), so the choice
 * does not depend on the attempt, and one client more or less changes no other client's place.
 */
import { Rng } from "../../shared/rng/rng.ts";
import type { ClientName } from "../../shared/ids.ts";

export interface CohortRule {
  /** Of the clients that are there. */
  readonly fraction: number;
  readonly min: number;
  /** Counts those invited beyond the target, too: sums have room for so many. */
  readonly max: number;
  /** Invited per client wanted, because some will not answer. */
  readonly overSelect: number;
}

/** How many are wanted, and how many are invited to get them. */
export function cohortSize(rule: CohortRule, available: number): { target: number; invited: number } {
  const target = Math.min(Math.max(Math.ceil(rule.fraction * available), rule.min), rule.max, available);
  const invited = Math.min(Math.ceil(target * rule.overSelect), rule.max, available);
  return { target, invited: Math.max(target, invited) };
}

/** The invited, sorted by name; empty when fewer than `rule.min` are available. */
export function sampleCohort(
  rule: CohortRule,
  seed: number,
  round: number,
  available: readonly ClientName[],
): ClientName[] {
  if (available.length < rule.min) return [];
  const { invited } = cohortSize(rule, available.length);
  const byName = (a: ClientName, b: ClientName): number => (a < b ? -1 : 1);
  if (invited === available.length) return available.toSorted(byName);
  return available
    .map((name) => ({ name, place: Rng.of(seed, "cohort", round, name).uniform() }))
    .toSorted((a, b) => a.place - b.place || byName(a.name, b.name))
    .slice(0, invited)
    .map(({ name }) => name)
    .toSorted(byName);
}
