/** The report's parts as markup. */
import { HEAD_SCORE, HEADS, scoreOf, type Head } from "../../shared/release/scores.ts";
import type { Chart } from "./charts.ts";
import { html, type Markup } from "./markup.ts";
import type { LegendEntry, Panel, PicturePanels } from "./pictures.ts";
import type { ReleaseEntry, Report, RoundEntry } from "./schema.ts";

const HEAD_NAMES: Readonly<Record<Head, string>> = {
  segmentation: "Segmentation",
  detection: "Detection",
  depth: "Depth from RGB",
  scene: "Scene",
};

export function headings(report: Report): Markup {
  const { model, data } = report;
  const completed = report.rounds.filter(({ round, status }) => round > 0 && status === "completed").length;
  const cohort = Math.max(0, ...report.rounds.map((entry) => entry.cohort));
  const secure =
    report.secureAggregation === "off" ? "no secure aggregation" : `secure aggregation (${report.secureAggregation})`;
  const { unit, epsilon, delta } = report.privacy;
  const privacy =
    unit === "none" ? "no differential privacy" : `privacy per ${unit}: ε ${epsilon ?? "?"}, δ ${delta ?? "?"}`;
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
      ${model.name} ${model.preset}, ${model.params.toLocaleString("en")}
      params${data === undefined ? null : `, trained on ${data.name}, scored on ${data.evaluation}`}
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
    <noscript><p>The curves need JavaScript; the table has their numbers.</p></noscript>
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
    </div>
  </section>`;
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

function figure({ title, alt, png, width, height, legend, note }: Panel): Markup {
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

export function release(entry: ReleaseEntry | null): Markup {
  if (entry === null) {
    return html`<section>
      <h2>Release</h2>
      <p>No round was completed, so there is no release.</p>
    </section>`;
  }
  const share = entry.fp32SizeBytes === 0 ? 1 : entry.sizeBytes / entry.fp32SizeBytes;
  const heads = HEADS.filter((head) => entry.accuracyDrop[head] !== null);
  const certainty = {
    measured: "measured on the evaluation data",
    predicted: "estimated",
    unevaluated: "not evaluated",
  };
  return html`<section aria-labelledby="release">
    <h2 id="release">Release ${entry.version}</h2>
    <p class="soft">params sha256 <code>${entry.sha256}</code></p>
    <div class="pair">
      <div class="sheet sizes">
        <div class="row"><span>model/ in ${entry.dtype}</span><span>${bytes(entry.sizeBytes)}</span></div>
        <div class="row soft"><span>the same folder in fp32</span><span>${bytes(entry.fp32SizeBytes)}</span></div>
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${percent(share)} of fp32">
          <rect width="${(share * 100).toFixed(1)}" height="10" />
        </svg>
        <div class="row">
          <strong>${percent(share)} of fp32</strong><span class="soft">update/ ${bytes(entry.updateBytes)}</span>
        </div>
        ${entry.fallbacks === undefined || entry.fallbacks === 0 ? null : html`<p class="small soft">${plural(entry.fallbacks, "tensor")} stored more exactly, to keep the drop small</p>`}
      </div>
      <div class="sheet">
        <table>
          <caption class="small soft">
            What ${entry.dtype} costs${entry.evaluation === undefined ? null : `, ${certainty[entry.evaluation]}`}
          </caption>
          <thead>
            <tr>
              <th scope="col">Head</th>
              <th scope="col">Score</th>
              <th scope="col">Drop</th>
            </tr>
          </thead>
          <tbody>
            ${
              heads.length === 0
                ? html`<tr>
                    <td colspan="3">no head was evaluated</td>
                  </tr>`
                : heads.map(
                    (head) =>
                      html`<tr>
                        <th scope="row">${HEAD_NAMES[head]}</th>
                        <td>${HEAD_SCORE[head]}</td>
                        <td>${points(entry.accuracyDrop[head] as number)}</td>
                      </tr>`,
                  )
            }
          </tbody>
        </table>
      </div>
    </div>
    <p class="small">Check it yourself, offline: <code>allulook release verify releases/${entry.version}</code></p>
  </section>`;
}

export function rounds(report: Report): Markup {
  const heads = HEADS.filter((head) => report.rounds.some((entry) => scoreOf(entry.metrics, head) !== null));
  const baselines = report.rounds.map((entry) => entry.metrics["depth"]?.["baselineDelta1"] ?? null);
  const baseline = baselines.findLast((value) => value !== null) ?? null;
  const columns = ["attempts", "cohort", "survivors", "evaluated", "examples seen", "loss"];
  return html`<section aria-labelledby="rounds">
    <h2 id="rounds">Rounds</h2>
    <div class="sheet" tabindex="0" role="region" aria-label="Rounds: clients and scores">
      <table>
        <thead>
          <tr>
            <th scope="col">round</th>
            <th scope="col" class="left">status</th>
            ${columns.map((name) => html`<th scope="col">${name}</th>`)}
            ${heads.map((head) => html`<th scope="col">${HEAD_SCORE[head]}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${report.rounds.map((entry) => roundRow(entry, heads))}
          ${baseline === null || !heads.includes("depth") ? null : baselineRow(baseline, heads, columns.length + 2)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function roundRow(entry: RoundEntry, heads: readonly Head[]): Markup {
  const { reason } = entry;
  const why =
    reason === undefined || reason === null ? null : html` <code title="${reason.message}">${reason.code}</code>`;
  return html`<tr>
    <th scope="row">${entry.round}</th>
    <td class="left"><span class="${entry.status === "failed" ? "bad" : "soft"}">${entry.status}</span>${why}</td>
    <td>${entry.attempts}</td>
    <td>${entry.cohort}</td>
    <td>${entry.survivors}</td>
    <td>${entry.evaluated}</td>
    <td>${entry.examplesSeen.toLocaleString("en")}</td>
    <td>${entry.loss === null ? "–" : entry.loss.toPrecision(4)}</td>
    ${heads.map((head) => html`<td>${scoreText(entry, head)}</td>`)}
  </tr>`;
}

/** The yardstick for depth from RGB. */
function baselineRow(baseline: number, heads: readonly Head[], columns: number): Markup {
  return html`<tr class="soft">
    <td colspan="${columns}" class="left">
      baseline: pixel-wise mean depth map of the training pictures, aligned alike
    </td>
    ${heads.map((head) => html`<td>${head === "depth" ? percent(baseline) : null}</td>`)}
  </tr>`;
}

const PHASES = {
  total: "total",
  train: "train",
  secureAggregation: "secure aggregation",
  aggregate: "aggregate",
  evaluate: "evaluate",
  release: "release",
} as const satisfies Record<keyof RoundEntry["seconds"], string>;

export function costs(report: Report): Markup {
  const phases = Object.keys(PHASES) as (keyof typeof PHASES)[];
  const time = (value: number) => value.toFixed(value < 10 ? 2 : 1);
  return html`<section aria-labelledby="costs">
    <h2 id="costs">Time and bytes</h2>
    <div class="sheet" tabindex="0" role="region" aria-label="Seconds and bytes of each round">
      <table>
        <thead>
          <tr>
            <th></th>
            <th colspan="${phases.length}" class="group" scope="colgroup">seconds</th>
            <th colspan="2" class="group" scope="colgroup">bytes, all clients</th>
          </tr>
          <tr>
            <th scope="col">round</th>
            ${phases.map((phase) => html`<th scope="col">${PHASES[phase]}</th>`)}
            <th scope="col">upload</th>
            <th scope="col">download</th>
          </tr>
        </thead>
        <tbody>
          ${report.rounds.map(
            (entry) =>
              html`<tr>
                <th scope="row">${entry.round}</th>
                ${phases.map((phase) => html`<td>${time(entry.seconds[phase])}</td>`)}
                <td>${bytes(entry.bytes.upload)}</td>
                <td>${bytes(entry.bytes.download)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function scoreText(entry: RoundEntry, head: Head): string {
  const score = scoreOf(entry.metrics, head);
  return score === null ? "–" : percent(score);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function points(drop: number): string {
  return `${drop < 0 ? "−" : ""}${Math.abs(drop * 100).toFixed(2)} points`;
}

function plural(count: number, word: string): string {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** Decimal units: 1 MB is 10^6 bytes. */
function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(2)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}
