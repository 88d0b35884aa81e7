/**
 * Scores a model on samples as they are and with everything wrong with them that the robustness suite knows, in every
 * severity. Each picture is corrupted by the same stream in all severities, and scores are sums, so that memory does not
 * grow with the pictures.
 */
import type { CorruptionName } from "../../shared/config/robustness.ts";
import { type Drops, dropsBetween, HEADS, mapHeads, type Metrics } from "../../shared/release/scores.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { PredictConfig } from "../allulook4/predict.ts";
import { corrupted, corruptedModality } from "../preprocess/corruption/suite.ts";
import { prepareSample } from "../preprocess/prepare.ts";
import type { RunnableModel } from "../runnable.ts";
import { addPrepared, type SiteSamples } from "./evaluate.ts";
import { metricsFromStatistics, statisticsLayout } from "./statistics.ts";

export interface RobustnessOptions {
  readonly batchSize: number;
  readonly seed: number;
  readonly corruptions: readonly CorruptionName[];
  /** Between 0 and 5, rising. */
  readonly severities: readonly number[];
  readonly withheld?: { readonly text?: boolean };
}

export interface CorruptionScores {
  readonly corruption: CorruptionName;
  /** Pictures that have what it works on. */
  readonly pictures: number;
  /** At each severity, in their order. */
  readonly scores: readonly { readonly severity: number; readonly metrics: Metrics; readonly drops: Drops }[];
  /** Mean of the drops over the severities. */
  readonly meanDrops: Drops;
}

export interface RobustnessScores {
  readonly pictures: number;
  readonly clean: Metrics;
  /** Those that at least one picture can suffer. */
  readonly corruptions: readonly CorruptionScores[];
  /** Mean of the corruptions' mean drops. */
  readonly meanDrops: Drops;
}

/** @param onBatch called with the number of pictures done so far */
export async function evaluateRobustness(
  model: RunnableModel,
  config: PredictConfig,
  sets: readonly SiteSamples[],
  options: RobustnessOptions,
  onBatch: (pictures: number) => void = () => {},
): Promise<RobustnessScores> {
  const layout = statisticsLayout(config.labels);
  const { modalities } = config.input;
  const evaluation = {
    batchSize: options.batchSize,
    meanDepth: null,
    completion: false,
    withheld: options.withheld ?? {},
  };
  const clean = new Float64Array(layout.length);
  const runs = options.corruptions
    .filter((corruption) => modalities.includes(corruptedModality(corruption)))
    .map((corruption) => ({
      corruption,
      pictures: 0,
      sums: options.severities.map((severity) => ({ severity, values: new Float64Array(layout.length) })),
    }));
  let pictures = 0;
  for (const { count, load } of sets) {
    for (let start = 0; start < count; start += options.batchSize) {
      const size = Math.min(options.batchSize, count - start);
      const samples = await Promise.all(Array.from({ length: size }, (_, i) => load(start + i)));
      const prepared = samples.map((sample) => prepareSample(sample, config));
      const add = (seen: typeof prepared, values: Float64Array) =>
        addPrepared(model, config, samples, seen, layout, values, evaluation);
      add(prepared, clean);
      for (const run of runs) {
        const { corruption } = run;
        run.pictures += prepared.filter((sample) => sample[corruptedModality(corruption)] !== null).length;
        for (const { severity, values } of run.sums) {
          const rng = (id: string) => Rng.of(options.seed, "robustness", corruption, id);
          add(
            prepared.map((one) => corrupted(one, corruption, severity, rng(one.id), config.labels.depth.kind)),
            values,
          );
        }
      }
      pictures += size;
      onBatch(pictures);
    }
  }
  const metricsOf = (values: Float64Array) => metricsFromStatistics(layout, values) as Metrics;
  const before = metricsOf(clean);
  const corruptions = runs
    .filter((run) => run.pictures > 0)
    .map(({ corruption, pictures: suffering, sums }) => {
      const scores = sums.map(({ severity, values }) => {
        const metrics = metricsOf(values);
        return { severity, metrics, drops: dropsBetween(before, metrics) };
      });
      return { corruption, pictures: suffering, scores, meanDrops: meanOf(scores.map(({ drops }) => drops)) };
    });
  return { pictures, clean: before, corruptions, meanDrops: meanOf(corruptions.map(({ meanDrops }) => meanDrops)) };
}

/** Per head; null where no head has a drop. */
function meanOf(all: readonly Drops[]): Drops {
  const known = (head: (typeof HEADS)[number]) => all.map((drops) => drops[head]).filter((drop) => drop !== null);
  return mapHeads((head) => {
    const drops = known(head);
    return drops.length === 0 ? null : drops.reduce((sum, drop) => sum + drop, 0) / drops.length;
  });
}
