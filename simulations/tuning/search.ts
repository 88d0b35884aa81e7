/** Runs the trials of a search, rung by rung; what the journal has is not run again. */
import type { Journal, Entry } from "./journal.ts";
import { promoted, ranked, rungsOf, type Rung } from "./halving.ts";
import type { Objective, Search, Settings } from "./space.ts";

/** One trial's stay on one rung. */
export interface Turn {
  readonly trial: number;
  readonly settings: Settings;
  readonly rung: number;
  readonly rungs: readonly Rung[];
  /** Where among the rung's trials, from 1. */
  readonly place: { readonly at: number; readonly of: number };
}

export interface TrialResult {
  readonly trial: number;
  readonly settings: Settings;
  /** The last rung that it was on, and its rounds. */
  readonly rung: number;
  readonly rounds: number;
  /** At the end of each of its rungs. */
  readonly scores: readonly (number | null)[];
  readonly score: number | null;
  readonly reason: string | null;
  readonly seconds: number;
}

/**
 * @param run trains a trial up to its rung's rounds; the score is null, with the reason, where that fails
 * @returns all trials: those of the last rung first, best first in each
 */
export async function search(
  { eta, rounds }: Pick<Search, "eta" | "rounds">,
  trials: readonly Settings[],
  better: Objective["better"],
  journal: Pick<Journal, "of" | "add" | "entries">,
  run: (turn: Turn) => Promise<Omit<Entry, "rung" | "trial">>,
): Promise<TrialResult[]> {
  const rungs = rungsOf(trials.length, { eta, rounds });
  let going = trials.map((_, trial) => trial);
  for (const [rung, next] of rungs.map((_, k) => [k, rungs[k + 1]] as const)) {
    for (const [i, trial] of going.entries()) {
      if (journal.of(rung, trial) !== null) continue;
      const place = { at: i + 1, of: going.length };
      const result = await run({ trial, settings: trials[trial] as Settings, rung, rungs, place });
      await journal.add({ rung, trial, ...result });
    }
    if (next !== undefined)
      going = promoted(
        going.map((trial) => journal.of(rung, trial) as Entry),
        next,
        better,
      );
  }
  const results = trials.map((settings, trial): TrialResult => {
    const own = rungs.flatMap((_, rung) => journal.of(rung, trial) ?? []);
    const last = own.at(-1) as Entry;
    return {
      trial,
      settings,
      rung: last.rung,
      rounds: (rungs[last.rung] as Rung).rounds,
      scores: own.map(({ score }) => score),
      score: last.score,
      reason: last.reason,
      seconds: own.reduce((sum, { seconds }) => sum + seconds, 0),
    };
  });
  return rungs.flatMap((_, k) => {
    const rung = rungs.length - 1 - k;
    return ranked(
      results.filter((result) => result.rung === rung),
      better,
    );
  });
}
