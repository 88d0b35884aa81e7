/**
 * A page in one file that asks nobody for anything: its content security policy allows its own script and style, by
 * hash, and pictures that are in it.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Chart } from "./charts.ts";
import { html, Markup, scriptJson } from "./markup.ts";
import { drawCharts } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";

export interface PageParts {
  readonly title: string;
  /** Drawn where the body has an element with the id chart-INDEX; without any, the page has no script. */
  readonly charts: readonly Chart[];
  /** Added to the pages' common style. */
  readonly style?: string;
  readonly body: Markup;
}

/** The page as text. */
export async function pageText({ title, charts, style: more = "", body }: PageParts): Promise<string> {
  const drawing = charts.length === 0 ? null : await uPlotFiles();
  const style = inline("style", `${drawing?.style ?? ""}\n${PAGE_STYLE}${more}`);
  const script = drawing === null ? null : inline("script", `${drawing.script}\n(${drawCharts.toString()})(uPlot);`);
  const data =
    script === null
      ? null
      : new Markup(`<script type="application/json" id="chart-data">${scriptJson(charts)}</script>`);
  const policy = [
    "default-src 'none'",
    "img-src data:",
    `style-src ${style.hash}`,
    ...(script === null ? [] : [`script-src ${script.hash}`]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${style.element}
      </head>
      <body>
        ${body} ${data} ${script?.element ?? null}
      </body>
    </html> `.text;
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
