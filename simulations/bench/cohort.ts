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
import { splitCpu, type Rule } from "./cpu-split.ts";
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

/** What the profile is split by, the innermost first. */
const OPERATIONS: readonly Rule[] = [
  { what: "key agreement", url: "shared/node/crypto", name: /^agree/ },
  { what: "key agreement", url: "shared/secagg/share-box", name: /^boxKeyOf$/ },
  { what: "signatures", url: "shared/node/crypto", name: /^(verify|sign|signingKey)$/ },
  { what: "signatures", url: "shared/secagg/verification-cache" },
  { what: "mask keys", url: "shared/node/crypto", name: /^hkdfSha256$/ },
  { what: "mask keys", url: "shared/secagg/mask", name: /^(pairwiseMask|selfMask)$/ },
  { what: "masking", url: "shared/secagg/mask" },
  { what: "masking", url: "shared/node/mask-" },
  { what: "masking", url: "shared/secagg/simd" },
  { what: "secret sharing", url: "shared/secagg/shamir" },
  { what: "commitments", url: "shared/secagg/share-box", name: /^(commit|routeBytes)/ },
  { what: "share boxes", url: "tweetnacl" },
  { what: "share boxes", url: "shared/secagg/share-box" },
  { what: "hash trees", url: "shared/secagg/share-tree" },
  { what: "JSON and schemas", url: "node_modules/zod" },
  { what: "JSON and schemas", url: "shared/secagg/signed", name: /^parsePayload$/ },
  { what: "digests", url: "shared/secagg/roster" },
  { what: "signed bytes", url: "shared/secagg/signed" },
  { what: "the round's reducer", url: "coordinator/round/" },
];
const PARTIES = { client: "/dist/client/", coordinator: "/dist/coordinator/" };

/** One round, start-up left out. CPU seconds are of all threads. */
export async function cohortRound(clients: number): Promise<Figures> {
  const present = noOpTrainer(PARAMS, CONSTANT);
  let tell: () => void = () => {};
  const vanishing = vanishingTrainer(PARAMS, new Promise((resolve) => (tell = resolve)));
  const names = cohortNames(clients);
  const started = performance.now();
  const baseMB = process.memoryUsage.rss() / 1e6;
  const setting = {
    config: benchConfig("malicious", clients, 1),
    trainers: new Map(names.map((name, i) => [name, vanishes(i) ? vanishing : present])),
    initialParams: () => Promise.resolve(new Float32Array(PARAMS)),
    out: null,
    observer: { event: whenShared(() => tell()) },
    options: { evaluationEvery: 0, publish: false, attempts: 1 },
  };
  const { result, split } = await splitCpu(OPERATIONS, PARTIES, () => simulateFederation(setting));
  const wall = (performance.now() - started) / 1000;
  const [round] = result.rounds;
  if (round?.status !== "completed") throw new Error(`the round failed: ${round?.reason?.message}`);
  const wrong = result.params.findIndex((value) => Math.abs(value - CONSTANT) > ROUNDING);
  if (wrong >= 0) throw new Error(`the sum is wrong at ${wrong}: ${result.params[wrong]}`);
  const mode = "malicious";
  const graph = sharingGraph(clients, mode, graphRule({ dropoutRate: 0.1, corruptionRate: 0.1 }));
  const cpuSeconds = split.get("in all") ?? 0;
  return {
    clients,
    neighbours: graph.neighbours,
    survivors: round.survivors,
    seconds: wall,
    cpuSeconds,
    cpuMsPerClient: (1e3 * cpuSeconds) / clients,
    baseMB,
    rssMB: process.memoryUsage.rss() / 1e6,
    ...Object.fromEntries([...split].map(([what, seconds]) => [`cpu ${what}`, seconds])),
  };
}
