/** The report of `data check` as a person reads it. */
import type { DataReport } from "./data-report.ts";
import type { DataProblem } from "./open-dataset.ts";
import { ERRORS } from "../../shared/errors.ts";

const SHOWN_PROBLEMS = 20;
const LAYOUTS = { annotations: "annotations.json", coco: "COCO's own files", pictures: "plain pictures" } as const;

export function reportText(report: DataReport): string {
  const lines = [`${report.folder}: ${report.layout === null ? "cannot be read" : LAYOUTS[report.layout]}`];
  if (report.generated) lines.push("This data is generated; it shows nothing real.");
  if (report.layout !== null) lines.push("", ...contents(report), "", ...heads(report));
  lines.push("", ...problems(report));
  return lines.join("\n");
}

function contents(report: DataReport): string[] {
  const { sizes, modalities, depth } = report;
  const rows: [string, string][] = [["pictures", `${report.readable} of ${report.pictures} readable`]];
  if (sizes !== null) rows.push(["size", `${span(sizes.width)} x ${span(sizes.height)} pixels`]);
  rows.push(["modalities", `RGB ${modalities.rgb}, depth ${modalities.depth}, text ${modalities.text}`]);
  if (depth !== null) {
    const unit =
      depth.kind === "relative" || depth.metersPerUnit === null ? "own units" : `${depth.metersPerUnit} m a unit`;
    const range = depth.range === null ? "" : `, values ${round(depth.range[0])} to ${round(depth.range[1])}`;
    rows.push(["depth", `${depth.kind} (${unit})${range}`]);
  }
  const sites = Object.entries(report.sites);
  if (sites.length > 1 || sites[0]?.[0] !== "") {
    const shown = sites.slice(0, 12).map(([name, count]) => `${name === "" ? "(none)" : name} ${count}`);
    rows.push(["sites", `${sites.length}: ${shown.join(", ")}${sites.length > 12 ? ", …" : ""}`]);
  }
  rows.push([
    "labels",
    report.inferredLabels ? "the dataset's own (give --federation to check against one)" : "federation",
  ]);
  return table(rows);
}

function heads(report: DataReport): string[] {
  const rows = report.heads.map(({ head, learns, pictures, says }): [string, string] => [
    head,
    `${learns ? `from ${pictures} pictures: ` : "nothing: "}${says}`,
  ]);
  return ["What each head can learn", ...table(rows)];
}

function problems(report: DataReport): string[] {
  if (report.problems.length === 0) return ["No problems."];
  const errors = report.problems.filter(({ severity }) => severity === "error");
  const warnings = report.problems.filter(({ severity }) => severity === "warning");
  const lines = [...errors, ...warnings].slice(0, SHOWN_PROBLEMS).map(line);
  const rest = report.problems.length - lines.length + report.moreProblems;
  if (rest > 0) lines.push(`  … and ${rest} more (--json has the first 1000)`);
  const codes = [...new Set(errors.map(({ code }) => code))].map((code) => `  ${code}: ${ERRORS[code]}`);
  return [
    `${errors.length} errors, ${warnings.length} warnings`,
    ...lines,
    ...(codes.length > 0 ? ["What to do", ...codes] : []),
  ];
}

function line({ severity, code, message }: DataProblem): string {
  return `  ${severity} ${code}: ${message}`;
}

function table(rows: readonly [string, string][]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
}

function span([low, high]: readonly [number, number]): string {
  return low === high ? String(low) : `${low}-${high}`;
}

function round(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
