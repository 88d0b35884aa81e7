/** What a round costs without training: the platform's own time and memory, simulated in one process. */
import { simulateFederation } from "../federation.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import type { ClientName } from "../../shared/ids.ts";
import { middle } from "./clock.ts";
import type { Figures } from "./suite.ts";

const ROUNDS = 5;

export function benchConfig(
  mode: FederationConfig["secureAggregation"]["mode"],
  clients: number,
  rounds: number,
): FederationConfig {
  return federationConfig.parse({
    federation: "bench",
    schedule: { rounds, cohort: { min: clients, max: clients, overSelect: 1 } },
    secureAggregation: { mode },
    release: { keyframeEvery: 1_000, dtype: "int8" },
  });
}

/** Rounds of clients that do not train, without release and evaluation. */
export async function noOpRounds(
  params: number,
  clients: number,
  mode: FederationConfig["secureAggregation"]["mode"],
): Promise<Figures> {
  const trainer = noOpTrainer(params);
  const names = Array.from({ length: clients }, (_, i) => `client-${i + 1}` as ClientName);
  const uptime = 1000 * process.uptime();
  const started = performance.now();
  let firstRound = 0;
  const { rounds } = await simulateFederation({
    config: benchConfig(mode, clients, ROUNDS),
    trainers: new Map(names.map((name) => [name, trainer])),
    initialParams: () => Promise.resolve(new Float32Array(params)),
    out: null,
    options: { evaluationEvery: 0, publish: false },
    observer: {
      round: () => {
        firstRound ||= performance.now() - started;
      },
    },
  });
  const trained = rounds.filter(({ round }) => round > 0);
  const phase = (name: keyof (typeof trained)[number]["seconds"]) =>
    middle(trained.map(({ seconds }) => seconds[name]));
  return {
    rounds: trained.filter(({ status }) => status === "completed").length,
    msPerRound: 1000 * phase("total"),
    msSecureAggregation: 1000 * phase("secureAggregation"),
    msAggregate: 1000 * phase("aggregate"),
    msFirstRoundInProcess: firstRound,
    msFirstRoundFromStart: uptime + firstRound,
  };
}
