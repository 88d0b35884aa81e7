/**
 * Successive halving (Jamieson, Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
 * optimization"), in the words of Hyperband and ASHA (Li et al. 2018, 2020): all trials get a few rounds, the best 1/eta
 * of them eta times as many, and so on up to the most.
 */
import type { Objective, Search } from "./space.ts";

export interface Rung {
  readonly trials: number;
  /** Rounds that a trial has behind it at the rung's end. */
  readonly rounds: number;
}

/** The rungs, the last with `rounds.most` rounds. */
export function rungsOf(trials: number, { eta, rounds }: Pick<Search, "eta" | "rounds">): Rung[] {
  const rungs: Rung[] = [];
  for (let k = 0; ; k++) {
    const budget = Math.min(rounds.most, rounds.least * eta ** k);
    rungs.push({ trials: Math.max(1, Math.floor(trials / eta ** k)), rounds: budget });
    if (budget === rounds.most) return rungs;
  }
}

/** Score of a trial at a rung's end; null where it failed. */
export interface Standing {
  readonly trial: number;
  readonly score: number | null;
}

/** Best first; failures last, equals in the order of trials. */
export function ranked<T extends Standing>(standings: readonly T[], better: Objective["better"]): T[] {
  const value = ({ score }: T) => (score === null ? -Infinity : better === "higher" ? score : -score);
  return standings.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x === y ? a.trial - b.trial : y > x ? 1 : -1;
  });
}

/** The trials that go on to the next rung: its number of the best, without failures. */
export function promoted(standings: readonly Standing[], next: Rung, better: Objective["better"]): number[] {
  return ranked(standings, better)
    .filter(({ score }) => score !== null)
    .slice(0, next.trials)
    .map(({ trial }) => trial);
}
