/** The federations that are compared: equal but for the weights they begin with. */
import { checkFederationConfig } from "../../coordinator/config.ts";
import { federationConfig, type FederationConfig, type Labels } from "../../shared/config/federation.ts";
import type { Metrics } from "../../shared/release/scores.ts";

export const INITS = ["pretrained", "random"] as const;
export type Init = (typeof INITS)[number];

export interface MeasureSetting {
  readonly dir: string;
  readonly name: string;
  readonly preset: FederationConfig["model"]["preset"];
  readonly clients: number;
  readonly rounds: number;
  /** From random weights, where more rounds are wanted. */
  readonly randomRounds: number;
  readonly localSteps: number;
  /** Height and width the model works at. */
  readonly size: number;
  readonly modalities: FederationConfig["input"]["modalities"];
  readonly seed: number;
  readonly workers: number;
  readonly out: string;
  readonly onRound: (what: string, metrics: Metrics) => void;
}

export function configOf(setting: MeasureSetting, labels: Labels, init: Init, rounds: number): FederationConfig {
  const { preset, clients, localSteps, size, modalities, seed } = setting;
  const config = federationConfig.parse({
    federation: "initial-weights",
    seed,
    model: { name: "allulook4", preset, init },
    labels,
    input: { size: [size, size], modalities },
    training: { localSteps },
    schedule: { rounds, cohort: { min: clients, max: Math.max(clients, 64) } },
  });
  return checkFederationConfig(config, "compare-weights").config;
}
