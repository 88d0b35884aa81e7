/**
 * What secure aggregation costs as the cohort grows: one simulated round of clients that do not train, one in ten of
 * which vanishes after it has shared its keys. Every party expands its own masks; signatures are checked once a process.
 */
import type { Observer } from "../../coordinator/round/parts.ts";
import { currentSum } from "../../coordinator/round/transition.ts";
import { simulateFederation } from "../federation.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";
import type { Trainer } from "../../client/training/trainer.ts";
import type { ClientName } from "../../shared/ids.ts";
import { graphRule, sharingGraph } from "../../shared/secagg/sharing-graph.ts";
import { benchConfig } from "./rounds.ts";
import type { Figures } from "./suite.ts";

const PARAMS = 100_000;
const CONSTANT = 0.001;
/** Half a step of fixed point for 1,000 clients, and the release is in int8. */
const ROUNDING = 3e-5;

/** Every tenth client is gone before its masked input. */
export function vanishes(client: number): boolean {
  return client % 10 === 9;
}

export function cohortNames(clients: number): ClientName[] {
  return Array.from({ length: clients }, (_, i) => `client-${String(i + 1).padStart(4, "0")}` as ClientName);
}

/** A client that leaves while it trains, when it is told to. */
export function vanishingTrainer(params: number, told: Promise<void>): Trainer {
  const train = (): Promise<never> => told.then(() => Promise.reject(new Error("vanished")));
  return { ...noOpTrainer(params, CONSTANT), train };
}

/** Tells those who vanish that everybody's keys are shared. */
export function whenShared(tell: () => void): NonNullable<Observer["event"]> {
  return (_event, state) => {
    if (currentSum(state)?.phase === "collecting-masked-inputs") tell();
  };
}

/** One round, start-up left out. CPU seconds are of all threads. */
export async function cohortRound(clients: number): Promise<Figures> {
  const present = noOpTrainer(PARAMS, CONSTANT);
  let tell: () => void = () => {};
  const vanishing = vanishingTrainer(PARAMS, new Promise((resolve) => (tell = resolve)));
  const names = cohortNames(clients);
  const before = process.cpuUsage();
  const started = performance.now();
  const baseMB = process.memoryUsage.rss() / 1e6;
  const { rounds, params } = await simulateFederation({
    config: benchConfig("malicious", clients, 1),
    trainers: new Map(names.map((name, i) => [name, vanishes(i) ? vanishing : present])),
    initialParams: () => Promise.resolve(new Float32Array(PARAMS)),
    out: null,
    observer: { event: whenShared(() => tell()) },
    options: { evaluationEvery: 0, publish: false, attempts: 1 },
  });
  const wall = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  const [round] = rounds;
  if (round?.status !== "completed") throw new Error(`the round failed: ${round?.reason?.message}`);
  const wrong = params.findIndex((value) => Math.abs(value - CONSTANT) > ROUNDING);
  if (wrong >= 0) throw new Error(`the sum is wrong at ${wrong}: ${params[wrong]}`);
  const mode = "malicious";
  const graph = sharingGraph(clients, mode, graphRule({ dropoutRate: 0.1, corruptionRate: 0.1 }));
  return {
    clients,
    neighbours: graph.neighbours,
    survivors: round.survivors,
    seconds: wall,
    cpuSeconds: (user + system) / 1e6,
    cpuMsPerClient: (user + system) / 1e3 / clients,
    baseMB,
    rssMB: process.memoryUsage.rss() / 1e6,
  };
}
