/** One trial's stay on a rung: a simulated federation that goes on from the rung before. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { run, type RunSetting } from "../run.ts";
import type { Entry } from "./journal.ts";
import type { Turn } from "./search.ts";
import type { Objective } from "./space.ts";

/** Folder of a trial below the search's. */
export function trialFolder(out: string, trial: number): string {
  return join(out, "trials", String(trial + 1).padStart(3, "0"));
}

const stateFile = (folder: string, rounds: number): string => join(folder, `after-${rounds}.state`);

/**
 * Trains up to the rung's rounds and scores. A diverged or impossible trial fails and the search goes on.
 *
 * @param setting as for a whole run; its `config` is the trial's own
 */
export async function runTrial(
  setting: RunSetting,
  { trial, rung, rungs }: Turn,
  { head, metric }: Objective,
  signal: AbortSignal,
): Promise<Omit<Entry, "rung" | "trial">> {
  const out = trialFolder(setting.out, trial);
  const rounds = rungs[rung]?.rounds ?? setting.config.schedule.rounds;
  const before = rungs[rung - 1]?.rounds;
  const from = before === undefined ? null : stateFile(out, before);
  const started = performance.now();
  const ended = (score: number | null, reason: string | null) => ({
    score,
    reason,
    seconds: Math.round(performance.now() - started) / 1000,
  });
  try {
    const part = { rounds, from, to: stateFile(out, rounds) };
    const { result, report } = await run({ ...setting, out, part, pictures: 0 }, signal);
    if (signal.aborted) throw new CodedError("INTERRUPTED", `trial ${trial + 1} was interrupted`);
    if (result.version < rounds) return ended(null, `${result.reason.code}: ${result.reason.message}`);
    const scores = report.rounds.map(({ metrics }) => metrics[head]?.[metric]);
    const score = scores.findLast((value) => value !== undefined && value !== null) ?? null;
    return ended(score, score === null ? `no ${head}.${metric} was measured` : null);
  } catch (error) {
    // Stored rungs that are damaged are for a person to mend, not a verdict on the trial.
    if (signal.aborted || !isCoded(error) || error.code.startsWith("STORE_")) throw error;
    return ended(null, `${error.code}: ${error.message}`);
  }
}

/** Removes what only the next rung needed. */
export async function forgetStates(out: string, trial: number, rungs: Turn["rungs"]): Promise<void> {
  for (const { rounds } of rungs) await rm(stateFile(trialFolder(out, trial), rounds), { force: true });
}
