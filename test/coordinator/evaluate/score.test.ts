import { expect, test } from "@jest/globals";
import { evaluatorFor } from "../../../coordinator/evaluate/score.ts";
import { metricsFromStatistics, statisticsLayout } from "../../../models/metrics/statistics.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { encodeEvaluation, evaluationLayout } from "../../../shared/secagg/evaluation-vector.ts";

const LABELS = federationConfig.parse({
  federation: "test",
  labels: { segmentation: ["a", "b", "c"], scene: ["x", "y"], detection: ["d"], depth: { kind: "metric" } },
}).labels;

test("scores of the summed words are those of the summed counters, for both models", () => {
  const statistics = statisticsLayout(LABELS);
  const evaluator = evaluatorFor(LABELS);
  expect(evaluator.counters).toBe(statistics.length);
  const layout = evaluationLayout({ wordBits: 32, cohortMax: 64, counters: evaluator.counters });
  const sums = { reference: new Float64Array(statistics.length), quantized: new Float64Array(statistics.length) };
  const total = new Uint32Array(layout.words);
  for (let client = 0; client < 5; client++) {
    const rng = Rng.of("counts", client);
    const draw = (): Float64Array => Float64Array.from({ length: statistics.length }, () => rng.below(2 ** 31));
    const counts = { reference: draw(), quantized: draw() };
    const words = encodeEvaluation(layout, counts);
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (words[i] as number);
    for (const name of ["reference", "quantized"] as const) {
      for (let i = 0; i < statistics.length; i++)
        sums[name][i] = (sums[name][i] as number) + (counts[name][i] as number);
    }
  }
  const scores = evaluator.score(layout, total);
  expect(scores.reference).toEqual(metricsFromStatistics(statistics, sums.reference));
  expect(scores.quantized).toEqual(metricsFromStatistics(statistics, sums.quantized));
  expect(Object.keys(scores.reference).toSorted()).toEqual([
    "depth",
    "depthCompletion",
    "detection",
    "scene",
    "segmentation",
  ]);
});
