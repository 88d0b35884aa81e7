/** The tables of `compare-weights`, in Markdown. */
import { HEADS, type Metrics, scoreOf } from "../../shared/release/scores.ts";
import { wilson } from "./folds.ts";
import type { FoldScores, Measured } from "./measure.ts";
import { INITS, type Init } from "./setting.ts";

/** What is printed of each head. */
const COLUMNS = [
  ["segmentation", "mIoU"],
  ["detection", "AP50"],
  ["depth", "absRel"],
  ["depth", "delta1"],
  ["scene", "accuracy"],
  ["scene", "auroc"],
] as const;

const value = (metrics: Metrics | undefined, [head, name]: (typeof COLUMNS)[number]): number | null =>
  metrics?.[head]?.[name] ?? null;
const written = (number: number | null): string =>
  number === null ? "-" : number.toFixed(3).replace(/^0\./, ".").replace(/^-0\./, "-.");

/** Metrics before, after `rounds` rounds, and of central training with as many examples. */
export function metricsTable(all: readonly Measured[], rounds: number): string {
  const head = ["data", "metric", ...INITS.flatMap((init) => [`${init}: before`, `after ${rounds}`, "central"])];
  const rows = all.flatMap(({ data, courses }) =>
    COLUMNS.filter((column) => value(courses.pretrained.rounds[0], column) !== null).map((column) => [
      data,
      column.join(" "),
      ...INITS.flatMap((init) => {
        const course = courses[init];
        return [course.rounds[0], course.rounds[rounds], course.central].map((metrics) =>
          written(value(metrics, column)),
        );
      }),
    ]),
  );
  return markdown(head, rows);
}

/** The first round whose score is at least the target: what random weights end with. */
export function roundsTable(all: readonly Measured[]): string {
  const rows = all.flatMap(({ data, courses }) =>
    HEADS.flatMap((head) => {
      const scores = (init: Init) => courses[init].rounds.map((metrics) => scoreOf(metrics, head) ?? 0);
      const random = scores("random");
      const target = random.at(-1) ?? 0;
      if (scoreOf(courses.random.rounds[0] ?? {}, head) === null || target === 0) return [];
      const reached = (list: readonly number[]): string => {
        const round = list.findIndex((score) => score >= target);
        return round < 0 ? `not in ${list.length - 1}` : String(round);
      };
      return [[data, head, written(target), reached(scores("pretrained")), reached(random)]];
    }),
  );
  return markdown(["data", "head", "score to reach", "rounds from pretrained", "from random"], rows);
}

interface FoldSummary {
  readonly accuracy: number;
  readonly interval: readonly [number, number];
  readonly meanAuroc: number;
}

/** Every picture counted once; `of` picks the metrics of a fold. */
function summaryOf(scores: readonly FoldScores[], of: (fold: FoldScores) => Metrics | undefined): FoldSummary {
  const all = scores.reduce((sum, { fold }) => sum + fold.size, 0);
  const hits = scores.reduce(
    (sum, one) => sum + Math.round((of(one)?.["scene"]?.["accuracy"] ?? 0) * one.fold.size),
    0,
  );
  const aurocs = scores.map((one) => of(one)?.["scene"]?.["auroc"] ?? 0.5);
  return {
    accuracy: hits / all,
    interval: wilson(hits, all),
    meanAuroc: aurocs.reduce((sum, auroc) => sum + auroc, 0) / aurocs.length,
  };
}

/** Accuracy of cross-validation with its interval, beside what naming the most frequent class gives. */
export function foldsTable(scores: readonly FoldScores[], rounds: number, majority: number): string {
  const row = (name: string, { accuracy, interval, meanAuroc }: FoldSummary): string[] => [
    name,
    written(accuracy),
    `${written(interval[0])} to ${written(interval[1])}`,
    written(meanAuroc),
  ];
  const rows = INITS.flatMap((init) => [
    ...[0, rounds].map((round) =>
      row(
        `${init}, ${round} rounds`,
        summaryOf(scores, ({ courses }) => courses[init].rounds[round]),
      ),
    ),
    row(
      `${init}, central`,
      summaryOf(scores, ({ courses }) => courses[init].central),
    ),
  ]);
  return markdown(
    ["scene head", "accuracy", "95 % interval", "AUROC"],
    [...rows, ["majority class", written(majority), "", ".500"]],
  );
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}
