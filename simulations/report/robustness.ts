/** robustness.html: how each head's score falls with each corruption, as curves, tables and pictures. */
import { HEAD_SCORE, type Head, HEADS, scoreOf } from "../../shared/release/scores.ts";
import type { CorruptionScores, RobustnessScores } from "../../models/metrics/robustness.ts";
import type { Chart } from "./charts.ts";
import { HEAD_NAMES, percent, plural } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { pageText } from "./page.ts";
import { chartGrid } from "./sections.ts";

/** robustness.json. */
export interface RobustnessReport extends RobustnessScores {
  readonly schema: 1;
  readonly model: string;
  /** The folder it was read from. */
  readonly release: string;
  readonly data: readonly string[];
  readonly seed: number;
  readonly modalities: readonly string[];
  readonly severities: readonly number[];
}

/** One picture under one corruption, at each severity. */
export interface CorruptedStrip {
  readonly name: string;
  readonly cells: readonly { readonly severity: number; readonly png: Uint8Array }[];
}

/** Heads that were scored, in their order. */
export function scoredHeads({ clean }: Pick<RobustnessReport, "clean">): Head[] {
  return HEADS.filter((head) => scoreOf(clean, head) !== null);
}

/** A drop in points, with a sign for what was gained. */
export function dropPoints(drop: number | null): string {
  if (drop === null) return "–";
  const text = Math.abs(100 * drop).toFixed(1);
  return drop < 0 && text !== "0.0" ? `+${text}` : text;
}

/** A chart per head: its score over the severities, a line per corruption. */
function robustnessCharts(report: RobustnessReport): Chart[] {
  return scoredHeads(report).map((head) => ({
    title: `${HEAD_NAMES[head]}: ${HEAD_SCORE[head]}`,
    better: "higher",
    share: true,
    x: { label: "severity", values: [0, ...report.severities] },
    series: report.corruptions.map(({ corruption, scores }, i) => ({
      label: corruption,
      role: i,
      values: [scoreOf(report.clean, head), ...scores.map(({ metrics }) => scoreOf(metrics, head))],
    })),
  }));
}

/** The page as text. `strips`: one example picture, corrupted. */
export async function robustnessPage(report: RobustnessReport, strips: readonly CorruptedStrip[]): Promise<string> {
  const charts = robustnessCharts(report);
  const heads = scoredHeads(report);
  return pageText({
    title: `Robustness: ${report.model}`,
    charts,
    body: html`<header>
        <h1>Robustness report</h1>
        <p class="soft">${report.model}, ${report.release}, scored on ${report.data.join(", ")}</p>
        <ul class="badges">
          <li>${plural(report.pictures, "picture")}</li>
          <li>${report.modalities.join(", ")}</li>
          <li>seed ${report.seed}</li>
        </ul>
      </header>
      <main>
        <dl class="tiles">${heads.map((head) => tile(report, head))}</dl>
        ${strips.length === 0 ? null : examples(strips, report.severities)}
        <section aria-labelledby="curves">
          <h2 id="curves">Score by severity</h2>
          <p class="soft">Severity 0 is the picture as it is. The tables below have the numbers as drops.</p>
          ${chartGrid(charts)}
        </section>
        <section aria-labelledby="drops">
          <h2 id="drops">Drops</h2>
          <p class="soft">
            Points that the score loses against the pictures as they are; a plus is a gain. Depth is always predicted
            without the depth input.
          </p>
          ${heads.map((head) => dropTable(report, head))}
        </section>
      </main>
      <footer>
        The same seed corrupts the same pictures in the same way. Every number here stands in robustness.json beside
        this page, with all metrics.
      </footer>`,
  });
}

function tile(report: RobustnessReport, head: Head): Markup {
  const drop = report.meanDrops[head];
  return html`<div class="tile">
    <dt>${HEAD_NAMES[head]}, ${HEAD_SCORE[head]}</dt>
    <dd class="value">${percent(scoreOf(report.clean, head) as number)}</dd>
    <dd class="small">
      <span class="${drop !== null && drop > 0 ? "bad" : "good"}">${dropPoints(drop)} points</span>
      <span class="soft">lost on average</span>
    </dd>
  </div>`;
}

function examples(strips: readonly CorruptedStrip[], severities: readonly number[]): Markup {
  return html`<section aria-labelledby="examples">
    <h2 id="examples">What was done to the pictures</h2>
    <p class="soft">One of them, at the size that the model reads. Of lost depth, the depth map.</p>
    <div class="sheet strips">
      <table>
        <thead>
          <tr>
            <th scope="col">Corruption</th>
            ${[0, ...severities].map((severity) => html`<th scope="col">${severity}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${strips.map(
            ({ name, cells }) =>
              html`<tr>
                <th scope="row">${name}</th>
                ${cells.map(
                  ({ severity, png }) =>
                    html`<td>
                      <img
                        src="data:image/png;base64,${Buffer.from(png).toString("base64")}"
                        alt="${name}, severity ${severity}"
                      />
                    </td>`,
                )}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function dropTable(report: RobustnessReport, head: Head): Markup {
  const row = ({ corruption, pictures, scores, meanDrops }: CorruptionScores) =>
    html`<tr>
      <th scope="row">${corruption}</th>
      <td>${pictures}</td>
      ${scores.map(({ drops }) => html`<td>${dropPoints(drops[head])}</td>`)}
      <td><strong>${dropPoints(meanDrops[head])}</strong></td>
    </tr>`;
  return html`<div class="sheet">
    <table>
      <caption>
        <strong>${HEAD_NAMES[head]}</strong>
        <span class="soft">${HEAD_SCORE[head]} ${percent(scoreOf(report.clean, head) as number)} as it is</span>
      </caption>
      <thead>
        <tr>
          <th scope="col">Corruption</th>
          <th scope="col">Pictures</th>
          ${report.severities.map((severity) => html`<th scope="col">${severity}</th>`)}
          <th scope="col">Mean</th>
        </tr>
      </thead>
      <tbody>
        ${report.corruptions.map(row)}
      </tbody>
    </table>
  </div>`;
}
