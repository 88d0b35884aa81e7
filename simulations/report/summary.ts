/** The report in a few lines for a terminal. */
import { modelTitle } from "../../shared/config/models.ts";
import type { Report } from "./schema.ts";

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;

/** The report in a few lines for the terminal. */
export function summarise(report: Report, files: { readonly html: string; readonly json: string }): string {
  const { model, rounds, release, data } = report;
  const lines = [
    `${modelTitle(model)}, ${model.params.toLocaleString("en")} params; ${data?.name ?? "data"}${data?.generated === true ? " (generated, not real)" : ""}`,
    `secure aggregation: ${report.secureAggregation}; privacy: ${privacyWords(report.privacy)}; engine: ${report.engine}`,
    "",
    table([
      [
        "round",
        "status",
        "clients",
        "loss",
        "mIoU",
        "mAP",
        "depth absRel",
        "mean map",
        "scene acc.",
        "seconds",
        "up",
        "down",
      ],
      ...rounds.map((round) => [
        String(round.round),
        round.status,
        `${round.survivors}/${round.cohort}`,
        cell(round.loss),
        cell(round.metrics["segmentation"]?.["mIoU"]),
        cell(round.metrics["detection"]?.["mAP"]),
        cell(round.metrics["depth"]?.["absRel"]),
        cell(round.metrics["depth"]?.["baselineAbsRel"]),
        cell(round.metrics["scene"]?.["accuracy"]),
        round.seconds.total.toFixed(1),
        megabytes(round.bytes.upload),
        megabytes(round.bytes.download),
      ]),
    ]),
  ];
  if (release !== null) {
    const drops = Object.entries(release.accuracyDrop).flatMap(([head, drop]) =>
      drop === null ? [] : [`${head} ${(100 * drop).toFixed(2)}`],
    );
    const share = release.fp32SizeBytes === 0 ? 0 : (100 * release.sizeBytes) / release.fp32SizeBytes;
    lines.push(
      "",
      `release ${release.version}: ${release.dtype} ${megabytes(release.sizeBytes)} against ${megabytes(release.fp32SizeBytes)} in fp32 (${share.toFixed(1)} %); update ${megabytes(release.updateBytes)}`,
      `accuracy drop in points: ${drops.length === 0 ? "not evaluated" : drops.join(", ")}`,
      `sha256 ${release.sha256}`,
    );
  }
  const sites = report.sites ?? [];
  if (sites.length > 1) {
    const head = ["each by itself", "pictures", "mIoU", "mAP", "depth absRel", "scene acc."];
    const rows = sites.map(({ site, samples, metrics }) => [
      site,
      String(samples),
      cell(metrics["segmentation"]?.["mIoU"]),
      cell(metrics["detection"]?.["mAP"]),
      cell(metrics["depth"]?.["absRel"]),
      cell(metrics["scene"]?.["accuracy"]),
    ]);
    lines.push("", table([head, ...rows]));
  }
  lines.push("", `report: ${files.html}`, `        ${files.json}`);
  return lines.join("\n");
}

function cell(value: number | null | undefined): string {
  return value === null || value === undefined ? "-" : value.toFixed(3);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((text, column) => text.padStart(widths[column] ?? 0)).join("  ")).join("\n");
}

function privacyWords({ unit, epsilon, delta }: Report["privacy"]): string {
  return unit === "none" ? "none" : `per ${unit}, epsilon ${epsilon?.toFixed(3) ?? "?"}, delta ${delta ?? "?"}`;
}
