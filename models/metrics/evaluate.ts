/**
 * Scores a model on samples: every sample once with all it has (segmentation, detection, scene), once without its depth
 * (depth from the picture alone, beside the mean depth map), and once with holes in its depth (completion).
 */
import { Rng } from "../../shared/rng/rng.ts";
import {
  pictureHoles,
  type PredictConfig,
  predictPrepared,
  type Prediction,
  type Withheld,
} from "../allulook4/predict.ts";
import type * as tf from "../engine/tf.ts";
import { randomHoles } from "../preprocess/augment.ts";
import { prepareSample } from "../preprocess/prepare.ts";
import type { Sample } from "../preprocess/sample.ts";
import { depthErrors, type DepthErrors, type MeanDepthMap } from "./depth.ts";
import { addDetections, DetectionScorer } from "./detection.ts";
import { addConfusion } from "./segmentation.ts";
import {
  DEPTH_FIELDS,
  fixedPoint,
  type Metrics,
  metricsFromStatistics,
  slotValues,
  type StatisticsLayout,
  statisticsLayout,
} from "./statistics.ts";

export interface EvaluationOptions {
  readonly batchSize: number;
  /** Of the training pictures; null: no baseline. */
  readonly meanDepth: MeanDepthMap | null;
  /** Collects detections for an mAP without bins. */
  readonly scorer?: DetectionScorer;
  readonly withheld?: { readonly text?: boolean };
}

/**
 * Adds the counts of some samples to `values`.
 *
 * @param samples at most `batchSize` of them
 */
export function addSamples(
  model: tf.LayersModel,
  config: PredictConfig,
  samples: readonly Sample[],
  layout: StatisticsLayout,
  values: Float64Array,
  options: EvaluationOptions,
): void {
  const prepared = samples.map((sample) => prepareSample(sample, config));
  const { kind } = config.labels.depth;
  const base = options.withheld ?? {};
  const depthIsInput = config.input.modalities.includes("depth");
  const run = (at: readonly number[], withheld: readonly Withheld[]): Prediction[] =>
    at.length === 0
      ? []
      : predictPrepared(
          model,
          config,
          at.map((i) => prepared[i] as (typeof prepared)[number]),
          at.map((i) => samples[i] as Sample),
          withheld,
        );
  const all = samples.map((_, i) => i);
  const full = run(
    all,
    all.map(() => base),
  );
  for (const [i, prediction] of full.entries()) {
    addLabels(samples[i] as Sample, prediction, layout, values, options);
  }
  if (kind === "none") return;

  // Where a sample was predicted without depth already, it is not predicted again.
  const withDepth = all.filter((i) => (samples[i] as Sample).depth !== null && (samples[i] as Sample).rgb !== null);
  const blind = depthIsInput
    ? run(
        withDepth,
        withDepth.map(() => ({ ...base, depth: true })),
      )
    : withDepth.map((i) => full[i] as Prediction);
  for (const [at, i] of withDepth.entries()) {
    const sample = samples[i] as Sample & { depth: NonNullable<Sample["depth"]> };
    const predicted = (blind[at] as Prediction).depth;
    if (predicted === null) continue;
    addDepth(slotValues(layout, values, "depth"), depthErrors(predicted, sample.depth, kind));
    const mean = options.meanDepth?.render(sample.width, sample.height) ?? null;
    if (mean !== null) addDepth(slotValues(layout, values, "depthBaseline"), depthErrors(mean, sample.depth, kind));
  }
  if (!depthIsInput) return;
  const holes = withDepth.map((i) => randomHoles(Rng.of("depth completion", (samples[i] as Sample).id)));
  const filled = run(
    withDepth,
    holes.map((of) => ({ ...base, holes: of })),
  );
  for (const [at, i] of withDepth.entries()) {
    const sample = samples[i] as Sample & { depth: NonNullable<Sample["depth"]> };
    const predicted = (filled[at] as Prediction).depth;
    if (predicted === null) continue;
    const mask = pictureHoles(holes[at] ?? [], prepared[i] as (typeof prepared)[number], sample);
    const errors = depthErrors(predicted, sample.depth, kind, mask);
    const sums = slotValues(layout, values, "depthCompletion");
    if (errors === null) continue;
    sums[0] = (sums[0] as number) + 1;
    sums[1] = (sums[1] as number) + fixedPoint(errors.squared);
  }
}

function addLabels(
  sample: Sample,
  prediction: Prediction,
  layout: StatisticsLayout,
  values: Float64Array,
  options: EvaluationOptions,
): void {
  if (sample.segmentation !== null && prediction.classMap !== null) {
    const confusion = slotValues(layout, values, "confusion");
    addConfusion(confusion, layout.labels.segmentation.length, sample.segmentation, prediction.classMap);
  }
  if (sample.boxes !== null && prediction.detections !== null) {
    addDetections(layout, values, prediction.detections, sample.boxes);
    options.scorer?.add(prediction.detections, sample.boxes);
  }
  if (sample.scene !== null && prediction.scene !== null) {
    const best = prediction.scene.indexOf(Math.max(...prediction.scene));
    const sums = slotValues(layout, values, "scene");
    sums[0] = (sums[0] as number) + 1;
    sums[1] = (sums[1] as number) + (best === sample.scene ? 1 : 0);
  }
}

function addDepth(sums: Float64Array, errors: DepthErrors | null): void {
  if (errors === null) return;
  const add = (field: number, value: number) => {
    sums[field] = (sums[field] as number) + value;
  };
  add(DEPTH_FIELDS.pictures, 1);
  add(DEPTH_FIELDS.squared, fixedPoint(errors.squared));
  add(DEPTH_FIELDS.relative, fixedPoint(errors.relative));
  add(DEPTH_FIELDS.delta1, fixedPoint(errors.delta1));
}

/**
 * Scores a model on data at hand, with an mAP that is exact and not binned: what `evaluate` prints.
 *
 * @param load samples by index, `count` of them
 */
export async function evaluateExactly(
  model: tf.LayersModel,
  config: PredictConfig,
  count: number,
  load: (index: number) => Promise<Sample>,
  options: Omit<EvaluationOptions, "scorer">,
): Promise<Metrics> {
  const layout = statisticsLayout(config.labels);
  const values = new Float64Array(layout.length);
  const scorer = new DetectionScorer(config.labels.detection.length);
  for (let start = 0; start < count; start += options.batchSize) {
    const indices = Array.from({ length: Math.min(options.batchSize, count - start) }, (_, i) => start + i);
    const samples = await Promise.all(indices.map(load));
    addSamples(model, config, samples, layout, values, { ...options, scorer });
  }
  const metrics = metricsFromStatistics(layout, values);
  const detection = scorer.result();
  return detection === null ? metrics : { ...metrics, detection };
}
