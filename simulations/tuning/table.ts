/** The results of a search as lines for a terminal. */
import { rungsOf } from "./halving.ts";
import type { TrialResult } from "./search.ts";
import type { Objective, Search } from "./space.ts";

const cell = (score: number | null | undefined): string =>
  score === undefined ? "" : score === null ? "failed" : score.toFixed(4);

/** One line a trial, best first; a column a rung, a column a field. */
export function resultTable(
  results: readonly TrialResult[],
  { eta, rounds, space }: Pick<Search, "eta" | "rounds" | "space">,
  { head, metric }: Objective,
): string {
  const fields = Object.keys(space);
  const rungs = rungsOf(results.length, { eta, rounds });
  const rows = [
    ["trial", ...rungs.map((rung) => `round ${rung.rounds}`), ...fields],
    ...results.map(({ trial, scores, settings }) => [
      String(trial + 1),
      ...rungs.map((_, k) => cell(scores[k])),
      ...fields.map((field) => JSON.stringify(settings[field])),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((text, column) => text.padStart(widths[column] ?? 0)).join("  "));
  const failures = results.flatMap(({ trial, reason }) => (reason === null ? [] : [`trial ${trial + 1}: ${reason}`]));
  return [`${head}.${metric}`, ...lines, ...failures].join("\n");
}
