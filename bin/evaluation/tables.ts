/** An evaluation as text: a table per head with a line per site and one of all, then a line per class. */
import type { ClassDetails, ExactDetails, ExactMetrics } from "../../models/metrics/exact.ts";

export interface EvaluationReport {
  /** Metrics of all samples together. */
  readonly metrics: ExactMetrics;
  readonly details: ExactDetails;
  /** Null where detections were scored without pictures. */
  readonly examples: number | null;
  readonly sites: readonly { readonly site: string; readonly examples: number; readonly metrics: ExactMetrics }[];
}

/** The one JSON document of `evaluate --json`: heads first, as in report.json. */
export function evaluationJson({ metrics, details, examples, sites }: EvaluationReport): Record<string, unknown> {
  return { ...metrics, ...(examples !== null && { examples, sites }), details };
}

/** Classes beyond this many are not printed as a matrix; the JSON document has them. */
const WIDEST_MATRIX = 12;
const BASELINE = "baseline";

export function evaluationText(report: EvaluationReport): string {
  const heads = Object.keys(report.metrics);
  if (heads.length === 0) return "the data has no labels to score against";
  return heads.map((head) => headText(head, report)).join("\n\n");
}

function headText(head: string, { metrics, details, examples, sites }: EvaluationReport): string {
  const of = (values: ExactMetrics[string] | undefined, names: readonly string[]) =>
    names.map((name) => number(values?.[name]));
  const all = metrics[head] ?? {};
  const names = Object.keys(all).filter((name) => !name.startsWith(BASELINE));
  const rows = sites.map((one) => [one.site, String(one.examples), ...of(one.metrics[head], names)]);
  rows.push(["all", examples === null ? "" : String(examples), ...of(all, names)]);
  const baseline = names.map((name) => all[`${BASELINE}${name.charAt(0).toUpperCase()}${name.slice(1)}`]);
  if (baseline.some((value) => value !== undefined)) {
    rows.push(["mean depth map of the training pictures", "", ...baseline.map(number)]);
  }
  const parts = [
    `${head}\n${table([[examples === null ? "" : "site", examples === null ? "" : "pictures", ...names], ...rows])}`,
  ];
  if (head === "segmentation" && details.segmentation !== undefined) parts.push(classTable(details.segmentation));
  if (head === "scene" && details.scene !== undefined) {
    const curves = details.scene.curves;
    parts.push(
      classTable(details.scene, [
        ["AUROC", curves.map((one) => one.auroc)],
        ["AP", curves.map((one) => one.averagePrecision)],
      ]),
    );
  }
  if (head === "detection" && details.detection !== undefined) {
    const shown = ["mAP", "AP50", "AP75", "AR100"] as const;
    parts.push(
      table([
        ["class", "objects", ...shown, "precision", "recall", "f1", "at score"],
        ...details.detection.classes
          .filter(({ objects }) => objects > 0)
          .map(({ name, objects, summary, best }) => [
            name,
            String(objects),
            ...shown.map((metric) => number(summary[metric])),
            ...[best?.precision, best?.recall, best?.f1, best?.score].map(number),
          ]),
      ]),
    );
  }
  return parts.join("\n\n");
}

function classTable(
  { classes, confusion }: ClassDetails,
  more: readonly (readonly [string, readonly (number | null)[]])[] = [],
): string {
  const parts = [
    table([
      ["class", "members", "IoU", "precision", "recall", "f1", "specificity", ...more.map(([name]) => name)],
      ...classes.map((one, c) => [
        one.name,
        String(one.truth),
        ...[one.iou, one.precision, one.recall, one.f1, one.specificity].map(number),
        ...more.map(([, values]) => number(values[c])),
      ]),
    ]),
  ];
  if (classes.length <= WIDEST_MATRIX) {
    const names = classes.map(({ name }) => name);
    parts.push(
      table([
        ["truth \\ prediction", ...names],
        ...confusion.map((row, c) => [names[c] as string, ...row.map(String)]),
      ]),
    );
  }
  return parts.join("\n\n");
}

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? "-" : value.toFixed(4);
}

/** First column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] as readonly string[]).map((_, c) =>
    Math.max(...rows.map((row) => (row[c] as string).length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, c) => (c === 0 ? cell.padEnd(widths[c] as number) : cell.padStart(widths[c] as number)))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join("\n");
}
