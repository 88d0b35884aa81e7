/**
 * The interpretability report: one page for people who must judge a model without running it. It says what the model is,
 * what it sees in some pictures, how sure it is, what speaks for each answer, how far such maps can be trusted as
 * measured by the deletion and insertion test, and what they cannot say. It asks nobody for anything.
 */
import { METHOD_NAMES, MODALITY_NAMES, type ExplanationPanels } from "./explanation-panels.ts";
import type { Method } from "../../models/explain/explain.ts";
import { HEAD_SCORE, HEADS, scoreOf } from "../../shared/release/scores.ts";
import { modelTitle } from "../../shared/config/models.ts";
import { EXPLANATION_STYLE } from "./explanation-style.ts";
import type { ExplanationReport, ReportedExplanation, ReportedPicture, ReportedTest } from "./explanation-schema.ts";
import { HEAD_NAMES, percent, plural } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { pageText } from "./page.ts";
import type { Panel, PicturePanels } from "./pictures.ts";
import { figure } from "./sections.ts";

/** What is seen of one picture: inputs and predictions, confidence, then one set of maps per target. */
export interface ExplainedPicture {
  readonly seen: PicturePanels;
  readonly confidence: readonly Panel[];
  readonly targets: readonly ExplanationPanels[];
}

/** The page as text. */
export async function explanationPage(
  report: ExplanationReport,
  pictures: readonly ExplainedPicture[],
): Promise<string> {
  const { model } = report;
  return pageText({
    title: `Interpretability report: ${modelTitle(model)}`,
    charts: [],
    style: EXPLANATION_STYLE,
    body: html`<header>
        <h1>Interpretability report</h1>
        <p class="soft">
          What ${modelTitle(model)} sees in ${plural(report.pictures.length, "picture")}, how sure it is, and what its
          answers rest on.
        </p>
        <ul class="badges">
          ${report.data.generated ? html`<li class="warn">generated data, not real pictures</li>` : null}
          <li>${report.engine}</li>
          <li>seed ${report.seed}</li>
        </ul>
      </header>
      <main>
        ${facts(report)} ${faithfulness(report)} ${limits(report)}
        <section aria-labelledby="pictures">
          <h2 id="pictures">Picture by picture</h2>
          <p class="soft prose">
            Orange speaks for the answer, violet against it, beside a picture of mean grey, a depth map without readings
            and words without meaning. White lines show the region or the box that is explained. Depth is explained with
            the depth input withheld.
          </p>
          ${report.pictures.map((entry, i) => picture(entry, pictures[i] as ExplainedPicture))}
        </section>
      </main>
      <footer>Every number here stands in explanations.json beside this page, every picture in its folder.</footer>`,
  });
}

function facts({ model, release, data }: ExplanationReport): Markup {
  const rows: [string, string | Markup][] = [
    ["model", `${modelTitle(model)}, ${model.params.toLocaleString("en")} params`],
    ["reads", model.modalities.join(", ")],
    ["works at", `${model.size.join(" × ")} pixels`],
    ["answers", model.heads.map((head) => HEAD_NAMES[head]).join(", ")],
    ...(Object.entries(model.classes) as [keyof typeof HEAD_NAMES, string[]][]).map(
      ([head, names]): [string, string] => [`classes, ${HEAD_NAMES[head].toLowerCase()}`, names.join(", ")],
    ),
    ["data explained", `${data.folders.join(", ")}: ${plural(data.size, "picture")}`],
  ];
  if (release === null) {
    rows.push(["release", "none: a bare model folder, checked against no signature"]);
  } else {
    const scores = HEADS.flatMap((head) => {
      const score = scoreOf(release.metrics, head);
      return score === null ? [] : [`${HEAD_NAMES[head]} ${HEAD_SCORE[head]} ${percent(score)}`];
    });
    rows.push(
      ["release", `${release.name}, version ${release.version}, round ${release.round}`],
      ["params sha256", html`<code>${release.paramsHash}</code>`],
      ["manifest sha256", html`<code>${release.manifestHash}</code>`],
      ["signed by", html`<code>${release.signedBy}</code>`],
      [
        "trained by",
        `${plural(release.counts.survivors, "site")} with ${plural(release.counts.examples, "sample")} in its last round`,
      ],
      ["scores", scores.length === 0 ? "not evaluated" : `${scores.join("; ")} (${release.evaluation})`],
    );
  }
  return html`<section aria-labelledby="facts">
    <h2 id="facts">The model</h2>
    <div class="sheet">
      <dl>
        ${rows.map(
          ([name, value]) =>
            html`<dt>${name}</dt>
              <dd>${value}</dd>`,
        )}
      </dl>
    </div>
    ${release === null ? null : html`<p class="small">The files were checked against this signed manifest when they were read.</p>`}
  </section>`;
}

function faithfulness({ faithfulness: rows, randomOrders, pictures }: ExplanationReport): Markup {
  if (rows.length === 0) {
    return html`<section aria-labelledby="test">
      <h2 id="test">Do the maps tell the truth?</h2>
      <p>The deletion and insertion test was not run.</p>
    </section>`;
  }
  const maps = rows.reduce((sum, row) => sum + row.maps, 0);
  const better = rows.reduce((sum, row) => sum + row.better, 0);
  return html`<section aria-labelledby="test">
    <h2 id="test">Do the maps tell the truth?</h2>
    <p class="prose">
      What a map calls important is taken out of the input first (deletion) and put into an empty input first
      (insertion), while the answer is watched (Petsiuk et al. 2018). Areas under the answer's curve: a good map makes
      deletion small and insertion large. Beside it ${plural(randomOrders, "random order")} of the same parts for each
      map, on ${plural(pictures.length, "picture")}. ${better} of ${maps} maps were better than random.
    </p>
    <div class="sheet" tabindex="0" role="region" aria-label="Deletion and insertion test">
      <table>
        <thead>
          <tr>
            <th scope="col">answer</th>
            <th scope="col" class="left">map</th>
            <th scope="col" class="left">taken out</th>
            <th scope="col">deletion</th>
            <th scope="col">random</th>
            <th scope="col">insertion</th>
            <th scope="col">random</th>
            <th scope="col">gain ± standard error</th>
            <th scope="col">better than random</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(testRow)}
        </tbody>
      </table>
    </div>
    <p class="small soft prose">
      Gain is (insertion − deletion) of the map less that of random orders. For classes, boxes and scenes the answer is
      its probability; for depth it is the ratio to the depth seen in the whole input. A gain within two standard errors
      of 0 is no evidence for the map: read it as decoration.
    </p>
  </section>`;
}

function testRow(row: ReportedTest): Markup {
  const digits = (value: number) => value.toFixed(3);
  const sure = row.error !== null && Math.abs(row.gain) > 2 * row.error;
  const verdict = sure ? (row.gain > 0 ? "good" : "bad") : "soft";
  return html`<tr>
    <th scope="row">${HEAD_NAMES[row.head]}</th>
    <td class="left">${METHOD_NAMES[row.method]}</td>
    <td class="left">${MODALITY_NAMES[row.modality]}</td>
    <td>${digits(row.deletion)}</td>
    <td class="soft">${digits(row.randomDeletion)}</td>
    <td>${digits(row.insertion)}</td>
    <td class="soft">${digits(row.randomInsertion)}</td>
    <td>
      <span class="${verdict}">${row.gain < 0 ? "−" : "+"}${digits(Math.abs(row.gain))}</span>
      ${row.error === null ? null : `± ${digits(row.error)}`}
    </td>
    <td>${row.better} of ${row.maps}</td>
  </tr>`;
}

const MEANINGS: Readonly<Record<Method, string>> = {
  integratedGradients:
    "Integrated gradients share the change of the answer, from an input without content to this one, among all input values: their sum is that change (the gap left by numeric integration is given). They depend on what counts as no content; another choice gives other maps.",
  attentionRollout:
    "Attention rollout follows which tokens the six transformer layers mix, half attention and half residual. For a region or a box it is relative to what tokens attend to on average. It sees neither the convolutions before nor the decoder after the transformer, nor whether a token speaks for or against.",
  crossAttention:
    "Cross-attention says which depth tokens and words the visual tokens look at when they are fused. Looking at something is not the same as being changed by it.",
};

function limits({ methods, unavailable }: ExplanationReport): Markup {
  return html`<section aria-labelledby="limits">
    <h2 id="limits">What these maps can and cannot say</h2>
    <ul class="plain">
      ${methods.map((method) => html`<li>${MEANINGS[method]}</li>`)}
      ${unavailable.map(({ code, message }) => html`<li><code>${code}</code> ${message}</li>`)}
      <li>
        They describe this model on these pictures. They do not say that the answer is right, that a person would use
        the same evidence, or that the model does the same elsewhere.
      </li>
      <li>
        What is marked is what the model's number depends on, not a cause in the world: a class may be recognised by its
        surroundings.
      </li>
      <li>
        Certainty of classes and confidence in objects are the model's own probabilities; how far they can be believed
        is its calibration error (<code>allulook evaluate</code>). The depth head gives no probability: its map shows
        how much the estimate moves under noise, contrast and brightness. Steady can still be wrong; where the truth is
        known, the rank correlation of movement and error is given, and near 0 the map tells nothing about errors.
      </li>
    </ul>
  </section>`;
}

function picture(entry: ReportedPicture, { seen, confidence, targets }: ExplainedPicture): Markup {
  const told = entry.spreadTellsError;
  return html`<article class="sample">
    <header>
      <h3>${entry.id}</h3>
      <dl class="facts">
        ${entry.site === null ? null : fact("site", entry.site)}
        ${seen.captions.length === 0 ? null : fact("text", `“${seen.captions.join("” “")}”`)}
        ${seen.scene === null ? null : fact("scene", `${seen.scene.predicted} (${percent(seen.scene.probability)})${seen.scene.truth === null ? "" : `, labelled ${seen.scene.truth}`}`)}
        ${told === null ? null : fact("does movement of depth tell its error?", `rank correlation ${told.toFixed(2)}`)}
      </dl>
    </header>
    <div class="panels">${[...seen.panels, ...confidence].map(figure)}</div>
    ${entry.explanations.map((explanation, i) => target(explanation, targets[i] as ExplanationPanels))}
  </article>`;
}

function fact(name: string, value: string): Markup {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

function target(entry: ReportedExplanation, { panels, words }: ExplanationPanels): Markup {
  const number = (value: number) => value.toFixed(3);
  const shares = Object.entries(entry.contributions ?? {}) as [keyof typeof MODALITY_NAMES, number][];
  const sign = (value: number) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;
  return html`<section class="target">
    <h4>${HEAD_NAMES[entry.head]}: ${entry.label}</h4>
    <p>
      ${entry.head === "depth" ? "normalised depth" : "probability"}
      ${number(entry.score)}${
        entry.absentScore === null
          ? null
          : html`, ${number(entry.absentScore)} without content; contributed:
              ${shares.map(([modality, value]) => `${MODALITY_NAMES[modality]} ${sign(value)}`).join(", ")}
              <span class="soft">(gap ${sign(entry.gap ?? 0)})</span>`
      }
    </p>
    <div class="panels">${panels.map(figure)}</div>
    ${words.map(
      ({ title, words: list }) =>
        html`<p class="words">
          <span class="title">${title}</span>
          ${list.map(({ word, share }) => html`<b class="${shade(share)}" title="${share.toFixed(2)} of the largest">${word}</b> `)}
        </p>`,
    )}
  </section>`;
}

function shade(share: number): string {
  const size = Math.abs(share);
  const level = size > 0.66 ? 3 : size > 0.33 ? 2 : size > 0.1 ? 1 : 0;
  return `${share < 0 ? "n" : "p"}${level}`;
}
