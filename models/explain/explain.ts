/** Everything this project can say about why a model answered as it did, for one sample: targets and attributions. */
import { CodedError } from "../../shared/errors.ts";
import type { Prediction, PredictConfig } from "../allulook4/predict.ts";
import * as tf from "../engine/tf.ts";
import { plainView } from "../preprocess/augment.ts";
import { type Batch, renderBatch } from "../preprocess/batch.ts";
import { type Geometry, type PreparedSample, prepareSample } from "../preprocess/prepare.ts";
import type { Sample } from "../preprocess/sample.ts";
import { wordsOf } from "../preprocess/text.ts";
import type { BuiltModel } from "../registry.ts";
import { integratedGradients, INTEGRATION_DEFAULTS, variantsAtOnce } from "./integrated-gradients.ts";
import { type CellMap, cellSums, resampled } from "./maps.ts";
import { MODALITIES, type Modality, openSample, type OpenSample } from "./points.ts";
import { type Attention, attended, attentionOf, rollout } from "./rollout.ts";
import { cellWeights, type Maps, scoresOf, type Target, targetsOf } from "./target.ts";

export const METHODS = ["integratedGradients", "attentionRollout", "crossAttention"] as const;
export type Method = (typeof METHODS)[number];

export interface Attribution {
  readonly method: Method;
  readonly modality: Modality;
  /** Of rgb and depth; of text null. */
  readonly map: CellMap | null;
  /** Of text: one value for each of the sample's words; else null. */
  readonly words: Float32Array | null;
}

export interface Explanation {
  readonly target: Target;
  /** The target at the sample, and where nothing is known. */
  readonly score: number;
  readonly absentScore: number | null;
  /** What each modality contributes to their difference, and what counting steps left over; null without gradients. */
  readonly shares: ReadonlyMap<Modality, number> | null;
  readonly gap: number | null;
  readonly attributions: readonly Attribution[];
  /** The model at the sample, as the target sees it: depth is explained with the depth input withheld. */
  readonly opened: OpenSample;
}

export interface ExplainedSample {
  readonly geometry: Geometry;
  readonly words: readonly string[];
  /** The model at the sample as it is, and with the depth input withheld. */
  readonly whole: OpenSample;
  readonly depthless: OpenSample;
  readonly explanations: readonly Explanation[];
  /** Methods that this model has not, and why. */
  readonly unavailable: readonly CodedError[];
}

/** Contributions are added up over cells of so many pixels: single pixels are too noisy to look at. */
const CELL = 4;
const TOKEN = 16;

/**
 * Explains one sample that was predicted. A method the model does not have is named in `unavailable`. Needs a loaded
 * engine.
 */
export function explainSample(
  built: BuiltModel,
  config: PredictConfig,
  sample: Sample,
  prediction: Prediction,
  integration = INTEGRATION_DEFAULTS,
): ExplainedSample {
  const prepared = prepareSample(sample, config);
  const { geometry } = prepared;
  const whole = view(built, config, prepared, !config.input.modalities.includes("depth"));
  const depthless = view(built, config, prepared, true);
  const targets = targetsOf(
    mapsOf(whole.opened),
    mapsOf(depthless.opened),
    config.labels,
    geometry,
    built.strides,
    prediction.detections,
    prediction,
  );
  const words = prepared.text === null ? [] : wordsOf((sample.captions ?? []).join(" "));
  const unavailable = new Map<string, CodedError>();
  const attempt = <T>(work: () => T): T | null => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      unavailable.set(error.code, error);
      return null;
    }
  };
  const attentions = new Map(
    [whole, depthless].map((of) => [of, attempt(() => attentionOf(built, of.batch))] as const),
  );
  const explanations = targets.map((target): Explanation => {
    const seen = target.head === "depth" ? depthless : whole;
    const { opened } = seen;
    const atOnce = variantsAtOnce(geometry.height, geometry.width);
    const gradients = attempt(() => integratedGradients(opened, target, atOnce, integration));
    const attention = attentions.get(seen) ?? null;
    return {
      target,
      score: gradients?.score ?? scoreAlone(opened, target),
      absentScore: gradients?.absentScore ?? null,
      shares:
        gradients === null
          ? null
          : new Map([...gradients.contributions].map(([modality, values]) => [modality, sumOf(values)])),
      gap: gradients?.gap ?? null,
      attributions: [
        ...(gradients === null ? [] : contributed(gradients.contributions, geometry, opened, words.length)),
        ...(attention === null ? [] : attentive(attention, target, geometry, words.length)),
      ],
      opened,
    };
  });
  return {
    geometry,
    words,
    whole: whole.opened,
    depthless: depthless.opened,
    explanations,
    unavailable: [...unavailable.values()],
  };
}

interface View {
  readonly batch: Batch;
  readonly opened: OpenSample;
}

function view(built: BuiltModel, config: PredictConfig, prepared: PreparedSample, depthWithheld: boolean): View {
  const batch = renderBatch([prepared], [plainView(prepared, { depth: depthWithheld })], config, built.strides);
  return { batch, opened: openSample(built, batch) };
}

/** The output maps of an opened sample. */
export function mapsOf(opened: OpenSample): Maps {
  const maps = new Map<Target["head"], Float32Array>();
  tf.tidy(() => {
    for (const [head, tensor] of opened.outputs(new Map(), 1)) maps.set(head, tensor.dataSync<"float32">());
  });
  return maps;
}

function scoreAlone(opened: OpenSample, target: Target): number {
  return tf.tidy(() => scoresOf(target, opened.outputs(new Map(), 1)).dataSync()[0] as number);
}

function contributed(
  contributions: ReadonlyMap<Modality, Float32Array>,
  geometry: Geometry,
  { points }: OpenSample,
  words: number,
): Attribution[] {
  return MODALITIES.flatMap((modality): Attribution[] => {
    const values = contributions.get(modality);
    if (values === undefined) return [];
    const channels = points.get(modality)?.shape.at(-1) as number;
    const method = "integratedGradients";
    if (modality !== "text") {
      return [
        { method, modality, map: cellSums(values, geometry.height, geometry.width, channels, CELL), words: null },
      ];
    }
    const sums = Float32Array.from({ length: words }, (_, w) =>
      sumOf(values.subarray(w * channels, (w + 1) * channels)),
    );
    return [{ method, modality, map: null, words: sums }];
  });
}

/** Where the target has a place, relative to what any token attends to: some tokens are attended to by all. */
function attentive(attention: Attention, target: Target, geometry: Geometry, words: number): Attribution[] {
  const { tokens, depth, text } = attention;
  const columns = geometry.width / TOKEN;
  const asMap = (values: Float32Array): CellMap => ({ stride: TOKEN, columns, rows: tokens / columns, values });
  const everywhere = new Float32Array(tokens).fill(1 / tokens);
  const from = tokensOf(target, geometry) ?? everywhere;
  const relative = (way: (row: Float32Array) => Float32Array) => {
    const here = way(from);
    if (target.stride === null) return here;
    const anywhere = way(everywhere);
    return here.map((value, i) => value / Math.max(anywhere[i] as number, 1e-9));
  };
  const rolled: Attribution = {
    method: "attentionRollout",
    modality: "rgb",
    map: asMap(relative((row) => rollout(attention, row))),
    words: null,
  };
  return [
    rolled,
    ...(depth === null
      ? []
      : [
          {
            method: "crossAttention" as const,
            modality: "depth" as const,
            map: asMap(relative((row) => attended(depth, tokens, row))),
            words: null,
          },
        ]),
    ...(text === null
      ? []
      : [
          {
            method: "crossAttention" as const,
            modality: "text" as const,
            map: null,
            words: relative((row) => attended(text, text.length / tokens, row)).subarray(0, words),
          },
        ]),
  ];
}

/** The tokens that the target is read from; null: all of them. */
function tokensOf(target: Target, { width, height }: Geometry): Float32Array | null {
  const values = cellWeights(target);
  if (values === null || target.stride === null) return null;
  const map = { stride: target.stride, columns: width / target.stride, rows: height / target.stride, values };
  return resampled(map, TOKEN).values;
}

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
