/** Central training as a federation of one: the yardstick of federated training. */
import type { FederationConfig } from "../shared/config/federation.ts";

/** One client in one long round: nothing is averaged, masked, quantized, clipped or held to its start. */
export function alone(config: FederationConfig): FederationConfig {
  return {
    ...config,
    evaluation: { ...config.evaluation, every: 1 },
    strategy: { name: "fedavg", serverLearningRate: 1, serverMomentum: 0 },
    aggregation: { rule: "mean" },
    training: { ...config.training, proximal: 0 },
    clip: { norm: null, coordinate: 100 },
    release: { ...config.release, dtype: "fp32", every: 1 },
    secureAggregation: { ...config.secureAggregation, mode: "off", maxWeight: 1 },
    schedule: {
      ...config.schedule,
      rounds: 1,
      minSurvivors: 1,
      cohort: { fraction: 1, min: 1, max: 1, overSelect: 1 },
    },
  };
}
