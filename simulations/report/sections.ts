/** The report's parts in words and pictures, as markup; its tables are in `tables.ts`. */
import { modelTitle } from "../../shared/config/models.ts";
import { HEAD_SCORE, HEADS, scoreOf } from "../../shared/release/scores.ts";
import type { Chart } from "./charts.ts";
import { HEAD_NAMES, percent, plural } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import type { LegendEntry, Panel, PicturePanels } from "./pictures.ts";
import type { Report } from "./schema.ts";

export function headings(report: Report): Markup {
  const { model, data } = report;
  const completed = report.rounds.filter(({ round, status }) => round > 0 && status === "completed").length;
  const cohort = Math.max(0, ...report.rounds.map((entry) => entry.cohort));
  const secure =
    report.secureAggregation === "off" ? "no secure aggregation" : `secure aggregation (${report.secureAggregation})`;
  const { unit, epsilon, delta } = report.privacy;
  const privacy =
    unit === "none"
      ? "no differential privacy"
      : `privacy per ${unit}: ε ${epsilon?.toFixed(2) ?? "?"}, δ ${delta ?? "?"}`;
  const badges = [
    plural(completed, "round"),
    plural(cohort, "client"),
    secure,
    privacy,
    `${report.engine}, ${plural(report.threads, "thread")}`,
    `seed ${report.seed}`,
  ];
  return html`<header>
    <h1>Federation report</h1>
    <p class="soft">
      ${modelTitle(model)}, ${model.params.toLocaleString("en")}
      params${data === undefined ? null : `, trained on ${data.name}; evaluation data ${data.evaluation}`}
    </p>
    <ul class="badges">
      ${data?.generated === true ? html`<li class="warn">generated data, not real pictures</li>` : null}${badges.map((text) => html`<li>${text}</li>`)}
    </ul>
  </header>`;
}

/** One tile per scored head: the last score, and what training changed. */
export function tiles(report: Report): Markup | null {
  const shown = HEADS.flatMap((head) => {
    const scores = report.rounds.map((entry) => scoreOf(entry.metrics, head)).filter((score) => score !== null);
    const last = scores.at(-1);
    return last === undefined ? [] : [{ head, first: scores[0] as number, last }];
  });
  if (shown.length === 0) return null;
  return html`<dl class="tiles">
    ${shown.map(({ head, first, last }) => {
      const change = last - first;
      const points = `${change < 0 ? "−" : "+"}${Math.abs(change * 100).toFixed(1)} points`;
      return html`<div class="tile">
        <dt>${HEAD_NAMES[head]}, ${HEAD_SCORE[head]}</dt>
        <dd class="value">${percent(last)}</dd>
        <dd class="small">
          <span class="${change < 0 ? "bad" : "good"}">${points}</span> <span class="soft">since round 0</span>
        </dd>
      </div>`;
    })}
  </dl>`;
}

export function curves(charts: readonly Chart[]): Markup {
  return html`<section aria-labelledby="curves">
    <h2 id="curves">Round by round</h2>
    <p class="soft">
      Scores on the evaluation data; round 0 is the model before any training. The same numbers stand in the
      <a href="#rounds">table of rounds</a>.
    </p>
    ${chartGrid(charts)}
  </section>`;
}

/** A place for each chart of a page, in its order. */
export function chartGrid(charts: readonly Chart[]): Markup {
  return html`<noscript><p>The curves need JavaScript; the table has their numbers.</p></noscript>
    <div class="charts">
      ${charts.map(
        ({ title, better, series }, i) =>
          html`<figure class="chart">
            <figcaption>
              <h3>${title}</h3>
              <span class="small soft">${better} is better</span>
            </figcaption>
            <div id="chart-${i}" role="img" aria-label="${describe(title, series)}"></div>
          </figure>`,
      )}
    </div>`;
}

function describe(title: string, series: Chart["series"]): string {
  const words = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    return `${label} from ${known[0]?.toPrecision(3)} to ${known.at(-1)?.toPrecision(3)}`;
  });
  return `${title}: ${words.join("; ")}`;
}

export function samples(pictures: readonly PicturePanels[], generated: boolean): Markup | null {
  if (pictures.length === 0) return null;
  return html`<section aria-labelledby="predictions">
    <h2 id="predictions">Predictions</h2>
    <p class="soft">
      Samples of the evaluation data, seen by the released model.
      ${generated ? "The scenes are generated. " : null}Depth from RGB is predicted with the depth input withheld.
    </p>
    ${pictures.map(sample)}
  </section>`;
}

function sample({ id, site, captions, scene, panels }: PicturePanels): Markup {
  const verdict = scene === null ? null : scene.truth === null ? null : scene.truth === scene.predicted;
  return html`<article class="sample">
    <header>
      <h3>${id}</h3>
      <dl class="facts">
        ${
          site === null
            ? null
            : html`<div>
                <dt>site</dt>
                <dd>${site}</dd>
              </div>`
        }
        ${
          scene === null
            ? null
            : html`<div>
                <dt>scene</dt>
                <dd>
                  ${scene.predicted}
                  (${percent(scene.probability)})${verdict === null ? null : html` <span class="${verdict ? "good" : "bad"}">${verdict ? "✓ as labelled" : `✗ labelled ${scene.truth ?? ""}`}</span>`}
                </dd>
              </div>`
        }
        ${
          captions.length === 0
            ? null
            : html`<div>
                <dt>text</dt>
                <dd>“${captions.join("” “")}”</dd>
              </div>`
        }
      </dl>
    </header>
    <div class="panels">${panels.map(figure)}</div>
  </article>`;
}

export function figure({ title, alt, png, width, height, legend, note }: Panel): Markup {
  const source = `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  return html`<figure>
    <img src="${source}" alt="${alt}" width="${width}" height="${height}" />
    <figcaption>
      ${title}${note === null ? null : html`<span class="note">${note}</span>`}${
        legend.length === 0
          ? null
          : html`<ul class="legend">
              ${legend.map(swatch)}
            </ul>`
      }
    </figcaption>
  </figure>`;
}

function swatch({ colour, text }: LegendEntry): Markup {
  return html`<li>
    <svg viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="${colour}" /></svg>${text}
  </li>`;
}
