/** From the sum of the clients' counters to metrics per head, of a version and of the `model/` made from it. */
import {
  metricsFromStatistics,
  statisticsLayout,
  type Metrics,
  type StatisticsLayout,
} from "../../models/metrics/statistics.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { chosenMetrics, type OwnModel } from "../../shared/config/own-model.ts";
import { decodeEvaluation, type EvaluationLayout } from "../../shared/secagg/evaluation-vector.ts";
import type { Words } from "../../shared/secagg/mask.ts";

interface Scores {
  readonly reference: Metrics;
  readonly quantized: Metrics;
}

/** What a federation's evaluation counts, and how its sums become metrics. */
export interface Evaluator {
  /** Counters of one model's statistics. */
  readonly counters: number;
  /** Throws STATISTIC_INVALID when a sum does not fit a number exactly. */
  score(layout: EvaluationLayout, sum: Words): Scores;
}

/** The evaluator of a model whose statistics have this layout. */
export function evaluatorOf(statistics: StatisticsLayout, own?: OwnModel): Evaluator {
  const metricsOf = (values: Float64Array) => chosenMetrics(own, metricsFromStatistics(statistics, values));
  return {
    counters: statistics.length,
    score: (layout, sum) => {
      const counts = decodeEvaluation(layout, sum);
      return { reference: metricsOf(counts.reference), quantized: metricsOf(counts.quantized) };
    },
  };
}

/** The evaluator of a federation with these labels; `own`: of a model of one's own, which may ask for few metrics. */
export function evaluatorFor(labels: Labels, own?: OwnModel): Evaluator {
  return evaluatorOf(statisticsLayout(labels), own);
}
