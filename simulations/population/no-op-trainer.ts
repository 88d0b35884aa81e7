/** A client that trains nothing: what is left of a round's time is the platform's own. Never used for results. */
import type { Trainer } from "../../client/training/trainer.ts";
import type { StatisticsLayout } from "../../models/metrics/statistics.ts";
import { layoutOf } from "../../shared/params/layout.ts";

/** No labels, hence no counters. */
const NO_STATISTICS: StatisticsLayout = {
  slots: [],
  length: 0,
  labels: { detection: [], segmentation: [], scene: [], depth: { kind: "none" } },
};

/** @param length params; the update is a constant, so that sums can be checked: every value is `value` */
export function noOpTrainer(length: number, value = 0.001): Trainer {
  const delta = new Float32Array(length).fill(value);
  return {
    layout: layoutOf([{ name: "params", shape: [length] }]),
    examples: 32,
    evaluationExamples: 0,
    statistics: NO_STATISTICS,
    train: ({ signal }) => {
      signal.throwIfAborted();
      return Promise.resolve({ delta, examplesSeen: 32, lossSum: 0, lossCount: 1 });
    },
    evaluate: () => Promise.resolve(new Float64Array(0)),
    dispose: () => {},
  };
}
