/**
 * Writes report.json, report.html and the pictures. The page is one file that asks nobody for anything: its content
 * security policy allows its own script and style, by hash, and pictures that are in it.
 */
import { modelTitle } from "../../shared/config/models.ts";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { writeFileDurably } from "../../shared/node/files.ts";
import { chartsOf } from "./charts.ts";
import { html, Markup, scriptJson } from "./markup.ts";
import { drawCharts } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";
import type { PicturePanels } from "./pictures.ts";
import { report as reportSchema, type Report } from "./schema.ts";
import { curves, headings, samples, tiles } from "./sections.ts";
import { costs, release, rounds } from "./tables.ts";

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
  const { script: library, style: libraryStyle } = await uPlotFiles();
  const charts = chartsOf(report);
  const style = inline("style", `${libraryStyle}\n${PAGE_STYLE}`);
  const script = inline("script", `${library}\n(${drawCharts.toString()})(uPlot);`);
  const data = new Markup(`<script type="application/json" id="chart-data">${scriptJson(charts)}</script>`);
  const policy = [
    "default-src 'none'",
    "img-src data:",
    `style-src ${style.hash}`,
    `script-src ${script.hash}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Federation report: ${modelTitle(report.model)}</title>
        ${style.element}
      </head>
      <body>
        ${headings(report)}
        <main>
          ${tiles(report)} ${charts.length === 0 ? null : curves(charts)}
          ${samples(pictures, report.data?.generated === true)} ${release(report.release)} ${rounds(report)}
          ${costs(report)}
        </main>
        <footer>
          The same seed, data, engine and thread setting give the same params sha256.
          ${report.privacy.unit === "none" ? null : "Privacy noise is not seeded: runs differ. "}Every number here
          stands in report.json beside this page.
        </footer>
        ${data} ${script.element}
      </body>
    </html> `;
  return page.text;
}

async function uPlotFiles(): Promise<{ script: string; style: string }> {
  const folder = dirname(createRequire(import.meta.url).resolve("uplot"));
  const [script, style] = await Promise.all([
    readFile(join(folder, "uPlot.iife.min.js"), "utf8"),
    readFile(join(folder, "uPlot.min.css"), "utf8"),
  ]);
  return { script, style };
}

/** An element with text of our own, and the source expression that allows it. Put together here: not a space may change. */
function inline(tag: "style" | "script", text: string): { element: Markup; hash: string } {
  const hash = `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  return { element: new Markup(`<${tag}>${text}</${tag}>`), hash };
}

function safeName(id: string): string {
  return id
    .replace(/\.[a-z0-9]+$/i, "")
    .replace(/[^A-Za-z0-9-]+/g, "_")
    .slice(-60);
}
