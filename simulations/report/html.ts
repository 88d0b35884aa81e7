/** Writes report.json, report.html and the pictures. */
import { modelTitle } from "../../shared/config/models.ts";
import { join } from "node:path";
import { writeFileDurably } from "../../shared/node/files.ts";
import { chartsOf } from "./charts.ts";
import { html } from "./markup.ts";
import { pageText } from "./page.ts";
import type { PicturePanels } from "./pictures.ts";
import { report as reportSchema, type Report } from "./schema.ts";
import { curves, headings, samples, tiles } from "./sections.ts";
import { costs, release, rounds, sites } from "./tables.ts";

export interface WrittenReport {
  readonly json: string;
  readonly html: string;
  /** Folder of the pictures, and how many there are. */
  readonly pictures: { readonly folder: string; readonly count: number };
}

/** Writes `outDir`/report.json, report.html and pictures/SAMPLE-PANEL.png. */
export async function writeReport(
  outDir: string,
  report: Report,
  pictures: readonly PicturePanels[],
): Promise<WrittenReport> {
  const checked = reportSchema.parse(report);
  const json = join(outDir, "report.json");
  const page = join(outDir, "report.html");
  const folder = join(outDir, "pictures");
  await writeFileDurably(json, `${JSON.stringify(checked, null, 2)}\n`);
  let count = 0;
  for (const [i, { id, panels }] of pictures.entries()) {
    for (const { name, png } of panels) {
      await writeFileDurably(join(folder, `${i + 1}-${safeName(id)}-${name}.png`), png);
      count++;
    }
  }
  await writeFileDurably(page, await reportPage(checked, pictures));
  return { json, html: page, pictures: { folder, count } };
}

/** The page as text. */
export async function reportPage(report: Report, pictures: readonly PicturePanels[]): Promise<string> {
  const charts = chartsOf(report);
  return pageText({
    title: `Federation report: ${modelTitle(report.model)}`,
    charts,
    body: html`${headings(report)}
      <main>
        ${tiles(report)} ${charts.length === 0 ? null : curves(charts)}
        ${samples(pictures, report.data?.generated === true)} ${release(report.release)} ${rounds(report)}
        ${sites(report)} ${costs(report)}
      </main>
      <footer>
        The same seed, data, engine and thread setting give the same params sha256.
        ${report.privacy.unit === "none" ? null : "Privacy noise is not seeded: runs differ. "}Every number here stands
        in report.json beside this page.
      </footer>`,
  });
}

/** Part of a file name. */
export function safeName(id: string): string {
  return id
    .replace(/\.[a-z0-9]+$/i, "")
    .replace(/[^A-Za-z0-9-]+/g, "_")
    .slice(-60);
}
