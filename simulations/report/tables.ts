/** The report's tables as markup: the release, the rounds, what they cost. */
import { HEAD_SCORE, HEADS, scoreOf } from "../../shared/release/scores.ts";
import { bytes, HEAD_NAMES, percent, plural, points } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import type { ReleaseEntry, Report, RoundEntry } from "./schema.ts";

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

type Scored = Pick<RoundEntry, "metrics">;

interface Column {
  readonly title: string;
  readonly value: (entry: Scored) => number | null;
  readonly write: (value: number) => string;
  /** What the mean depth map of the training pictures scores: the yardstick for depth from RGB. */
  readonly baseline?: (entry: Scored) => number | null;
}

const DEPTH = (name: string) => (entry: Scored) => entry.metrics["depth"]?.[name] ?? null;

const COLUMNS: readonly Column[] = [
  { title: "mIoU", value: (entry) => scoreOf(entry.metrics, "segmentation"), write: percent },
  { title: "mAP", value: (entry) => scoreOf(entry.metrics, "detection"), write: percent },
  { title: "depth delta1", value: DEPTH("delta1"), write: percent, baseline: DEPTH("baselineDelta1") },
  {
    title: "depth absRel",
    value: DEPTH("absRel"),
    write: (value) => value.toFixed(3),
    baseline: DEPTH("baselineAbsRel"),
  },
  { title: "accuracy", value: (entry) => scoreOf(entry.metrics, "scene"), write: percent },
];

export function rounds(report: Report): Markup {
  const columns = COLUMNS.filter(({ value }) => report.rounds.some((entry) => value(entry) !== null));
  const counts = ["attempts", "cohort", "survivors", "evaluated", "examples seen", "loss"];
  return html`<section aria-labelledby="rounds">
    <h2 id="rounds">Rounds</h2>
    <div class="sheet" tabindex="0" role="region" aria-label="Rounds: clients and scores">
      <table>
        <thead>
          <tr>
            <th scope="col">round</th>
            <th scope="col" class="left">status</th>
            ${[...counts, ...columns.map(({ title }) => title)].map((title) => html`<th scope="col">${title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${report.rounds.map((entry) => roundRow(entry, columns))} ${baselineRow(report, columns, counts.length + 2)}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** The newest version at each client; null where there is one alone. */
export function sites({ sites: scored = [] }: Report): Markup | null {
  if (scored.length < 2) return null;
  const columns = COLUMNS.filter(({ value }) => scored.some((entry) => value(entry) !== null));
  return html`<section aria-labelledby="sites">
    <h2 id="sites">Each client by itself</h2>
    <p class="soft">
      The newest version on each client's own evaluation data, with what that client keeps for itself of the model.
    </p>
    <div class="sheet" tabindex="0" role="region" aria-label="Scores of each client">
      <table>
        <thead>
          <tr>
            <th scope="col" class="left">client</th>
            ${["pictures", ...columns.map(({ title }) => title)].map((title) => html`<th scope="col">${title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${scored.map(
            (entry) =>
              html`<tr>
                <th scope="row" class="left">${entry.site}</th>
                <td>${entry.samples}</td>
                ${columns.map(({ value, write }) => html`<td>${written(value(entry), write)}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function roundRow(entry: RoundEntry, columns: readonly Column[]): Markup {
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
    ${columns.map(({ value, write }) => html`<td>${written(value(entry), write)}</td>`)}
  </tr>`;
}

function baselineRow(report: Report, columns: readonly Column[], before: number): Markup | null {
  const values = columns.map(({ baseline }) =>
    baseline === undefined ? null : (report.rounds.map(baseline).findLast((value) => value !== null) ?? null),
  );
  if (values.every((value) => value === null)) return null;
  return html`<tr class="soft">
    <td colspan="${before}" class="left">
      baseline: pixel-wise mean depth map of the training pictures, aligned alike
    </td>
    ${columns.map(({ write }, i) => html`<td>${values[i] === null ? null : written(values[i] ?? null, write)}</td>`)}
  </tr>`;
}

function written(value: number | null, write: (value: number) => string): string {
  return value === null ? "–" : write(value);
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
