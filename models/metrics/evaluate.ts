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
import { randomHoles } from "../preprocess/augment.ts";
import { type PreparedSample, prepareSample } from "../preprocess/prepare.ts";
import type { Sample } from "../preprocess/sample.ts";
import type { RunnableModel } from "../runnable.ts";
import { depthErrors, type MeanDepthMap } from "./depth.ts";
import { addDetections } from "./detection.ts";
import { ExactEvaluation, type ExactMetrics } from "./exact.ts";
import { addConfusion } from "./segmentation.ts";
import { addDepth, addScene, fixedPoint, slotValues, type StatisticsLayout } from "./statistics.ts";

export interface EvaluationOptions {
  readonly batchSize: number;
  /** Of the training pictures; null: no baseline. */
  readonly meanDepth: MeanDepthMap | null;
  /** Takes every prediction, with confidence maps, for metrics without bins. */
  readonly exact?: ExactEvaluation;
  readonly withheld?: { readonly text?: boolean };
  /** Whether holes in given depth maps are scored, too; they are unless this is false. */
  readonly completion?: boolean;
}

/**
 * Adds the counts of some samples to `values`.
 *
 * @param samples at most `batchSize` of them
 */
export function addSamples(
  model: RunnableModel,
  config: PredictConfig,
  samples: readonly Sample[],
  layout: StatisticsLayout,
  values: Float64Array,
  options: EvaluationOptions,
): void {
  const prepared = samples.map((sample) => prepareSample(sample, config));
  addPrepared(model, config, samples, prepared, layout, values, options);
}

/**
 * As {@link addSamples}, where the model sees something else than the samples: they are the truth, `prepared` is what
 * it is given.
 */
export function addPrepared(
  model: RunnableModel,
  config: PredictConfig,
  samples: readonly Sample[],
  prepared: readonly PreparedSample[],
  layout: StatisticsLayout,
  values: Float64Array,
  options: EvaluationOptions,
): void {
  const { kind } = config.labels.depth;
  const base = options.withheld ?? {};
  const depthIsInput = config.input.modalities.includes("depth");
  const run = (at: readonly number[], withheld: readonly Withheld[], maps = false): Prediction[] =>
    at.length === 0
      ? []
      : predictPrepared(
          model,
          config,
          at.map((i) => prepared[i] as PreparedSample),
          at.map((i) => samples[i] as Sample),
          withheld,
          undefined,
          maps,
        );
  const all = samples.map((_, i) => i);
  const full = run(
    all,
    all.map(() => base),
    options.exact !== undefined,
  );
  for (const [i, prediction] of full.entries()) {
    addLabels(samples[i] as Sample, prediction, layout, values);
    options.exact?.observe(samples[i] as Sample, prediction);
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
  if (!depthIsInput || options.completion === false) return;
  const given = withDepth.filter((i) => (prepared[i] as PreparedSample).depth !== null);
  const holes = given.map((i) => randomHoles(Rng.of("depth completion", (samples[i] as Sample).id)));
  const filled = run(
    given,
    holes.map((of) => ({ ...base, holes: of })),
  );
  for (const [at, i] of given.entries()) {
    const sample = samples[i] as Sample & { depth: NonNullable<Sample["depth"]> };
    const predicted = (filled[at] as Prediction).depth;
    if (predicted === null) continue;
    const mask = pictureHoles(holes[at] ?? [], prepared[i] as PreparedSample, sample);
    const errors = depthErrors(predicted, sample.depth, kind, mask);
    const sums = slotValues(layout, values, "depthCompletion");
    if (errors === null) continue;
    sums[0] = (sums[0] as number) + 1;
    sums[1] = (sums[1] as number) + fixedPoint(errors.squared);
  }
}

function addLabels(sample: Sample, prediction: Prediction, layout: StatisticsLayout, values: Float64Array): void {
  if (sample.segmentation !== null && prediction.classMap !== null) {
    const confusion = slotValues(layout, values, "confusion");
    addConfusion(confusion, layout.labels.segmentation.length, sample.segmentation, prediction.classMap);
  }
  if (sample.boxes !== null && prediction.detections !== null) {
    addDetections(layout, values, prediction.detections, sample.boxes);
  }
  if (sample.scene !== null && prediction.scene !== null) {
    addScene(layout, values, sample.scene, prediction.scene);
  }
}

/** Samples of one site, by index into wherever they come from. */
export interface SiteSamples {
  readonly site: string;
  readonly count: number;
  load(index: number): Promise<Sample>;
}

export interface SiteEvaluation {
  readonly site: string;
  readonly evaluation: ExactEvaluation;
}

/**
 * Scores a model on data at hand, site by site: what `evaluate` prints.
 *
 * @param onSample called after every batch with the number of samples done so far
 * @returns the sites in their order, and all samples together
 */
export async function evaluateSites(
  model: RunnableModel,
  config: PredictConfig,
  sites: readonly SiteSamples[],
  options: Omit<EvaluationOptions, "exact">,
  onSample: (done: number) => void = () => {},
): Promise<{ pooled: ExactEvaluation; sites: SiteEvaluation[] }> {
  const pooled = new ExactEvaluation(config.labels);
  const done: SiteEvaluation[] = [];
  for (const { site, count, load } of sites) {
    const evaluation = new ExactEvaluation(config.labels);
    const { layout, values } = evaluation;
    for (let start = 0; start < count; start += options.batchSize) {
      const indices = Array.from({ length: Math.min(options.batchSize, count - start) }, (_, i) => start + i);
      const samples = await Promise.all(indices.map(load));
      addSamples(model, config, samples, layout, values, { ...options, exact: evaluation });
      onSample(pooled.examples + evaluation.examples);
    }
    pooled.addAll(evaluation);
    done.push({ site, evaluation });
  }
  return { pooled, sites: done };
}

/** As {@link evaluateSites}, of one site, and only its metrics. */
export async function evaluateExactly(
  model: RunnableModel,
  config: PredictConfig,
  count: number,
  load: (index: number) => Promise<Sample>,
  options: Omit<EvaluationOptions, "exact">,
): Promise<ExactMetrics> {
  const { pooled } = await evaluateSites(model, config, [{ site: "all", count, load }], options);
  return pooled.metrics();
}
