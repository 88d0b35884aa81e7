/**
 * The attack suite: federations of shipped clients and a shipped coordinator, some of whose clients attack, one for every
 * combination of rule, attack and share of attackers. Each result follows from the setting alone.
 */
import { checkAggregation } from "../../coordinator/aggregate/robust/config.ts";
import { aggregation, updatesNeeded, type Aggregation, type AggregationRule } from "../../shared/config/aggregation.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import { simulateFederation } from "../federation.ts";
import { attackers, ATTACKS, poisoned, type Attack } from "./attackers.ts";
import { Network, pictureTrainer, type LocalTraining } from "./network.ts";
import { generatePictures, othersThanTarget, patched, type Pictures } from "./pictures.ts";

export const ROBUST_RULES = [
  "mean",
  "krum",
  "multiKrum",
  "bulyan",
  "median",
  "trimmedMean",
  "geometricMedian",
  "normClipping",
  "centredClipping",
] as const satisfies readonly AggregationRule[];

/** What the coordinator sees: single updates, or means of groups under secure aggregation. */
export const MODES = ["trusted", "grouped"] as const;
export type Mode = (typeof MODES)[number];

export interface SuiteSetting {
  /** Clients of a federation, by mode. */
  readonly clients: Readonly<Record<Mode, number>>;
  readonly modes: readonly Mode[];
  readonly groupSize: number;
  readonly rounds: number;
  readonly seed: number;
  readonly picturesPerClient: number;
  readonly testPictures: number;
  readonly local: LocalTraining;
  readonly rules: readonly AggregationRule[];
  readonly attacks: readonly Attack[];
  /** Shares of attackers, above 0; each rule is measured without attackers, too. */
  readonly shares: readonly number[];
}

export const USUAL_SUITE: SuiteSetting = {
  clients: { trusted: 10, grouped: 15 },
  modes: MODES,
  groupSize: 3,
  rounds: 6,
  seed: 7,
  picturesPerClient: 100,
  testPictures: 400,
  local: { steps: 12, batchSize: 16, learningRate: 0.25 },
  rules: ROBUST_RULES,
  attacks: ATTACKS,
  shares: [0.1, 0.2, 0.3],
};

export interface Cell {
  readonly mode: Mode;
  readonly rule: AggregationRule;
  /** null: nobody attacks. */
  readonly attack: Attack | null;
  readonly share: number;
}

export interface CellResult extends Cell {
  /** Clients that attack. */
  readonly attackers: number;
  /** On pictures nobody trained on; null where the rule needs more clients than there are. */
  readonly accuracy: number | null;
  /** Share of patched pictures of other classes that are given the backdoor's class; of the backdoor attack and of none. */
  readonly backdoor: number | null;
  readonly seconds: number;
}

/** Every combination, those without attackers first. */
export function cellsOf({ modes, rules, attacks, shares }: SuiteSetting): Cell[] {
  return modes.flatMap((mode) => [
    ...rules.map((rule) => ({ mode, rule, attack: null, share: 0 })),
    ...rules.flatMap((rule) => attacks.flatMap((attack) => shares.map((share) => ({ mode, rule, attack, share })))),
  ]);
}

/** Runs one federation; INTERRUPTED. The engine must have been loaded. */
export async function runCell(setting: SuiteSetting, cell: Cell, signal?: AbortSignal): Promise<CellResult> {
  const started = performance.now();
  const bad = Math.round(cell.share * setting.clients[cell.mode]);
  const config = configOf(setting, cell, bad);
  const seconds = () => (performance.now() - started) / 1000;
  if (config === null) return { ...cell, attackers: bad, accuracy: null, backdoor: null, seconds: seconds() };
  const network = new Network(setting.seed);
  try {
    const { params } = await simulateFederation(
      {
        config,
        trainers: trainersOf(setting, network, cell, bad),
        initialParams: async () => network.params(),
        out: null,
        options: { evaluationEvery: 0, publish: false, backoffMs: 1 },
      },
      signal,
    );
    checkGoesOn(signal);
    const test = generatePictures(setting.testPictures, setting.seed, "test");
    const asked = cell.attack === null || cell.attack === "backdoor";
    return {
      ...cell,
      attackers: bad,
      accuracy: network.accuracy(params, test),
      backdoor: asked ? network.accuracy(params, patched(othersThanTarget(test))) : null,
      seconds: seconds(),
    };
  } finally {
    network.dispose();
  }
}

/** INTERRUPTED once the signal says so: what a federation that was stopped comes to is no result. */
export function checkGoesOn(signal?: AbortSignal): void {
  if (signal?.aborted === true) throw new CodedError("INTERRUPTED", "stopped; the same command goes on from here");
}

/** null: the rule needs more updates. It is told how many attack, or the most that it can bear with so many updates. */
function configOf(setting: SuiteSetting, { mode, rule }: Cell, bad: number): FederationConfig | null {
  const { rounds, seed, local, groupSize } = setting;
  const clients = setting.clients[mode];
  const updates = mode === "trusted" ? clients : Math.floor(clients / groupSize);
  const given = ruleBearing(rule, Math.max(1, bad), updates);
  if (given === null) return null;
  const grouped = { mode: "malicious", groups: { size: groupSize, minSurvivors: 3 } };
  const config = federationConfig.parse({
    federation: "attacks",
    seed,
    training: { localSteps: local.steps, batchSize: local.batchSize },
    schedule: { rounds, cohort: { min: clients, max: clients, overSelect: 1 }, minSurvivors: clients },
    secureAggregation: mode === "trusted" || rule === "mean" ? { mode: "off" } : grouped,
    aggregation: given,
    release: { dtype: "fp32" },
  });
  checkAggregation(config);
  return config;
}

function ruleBearing(rule: AggregationRule, bad: number, updates: number): Aggregation | null {
  for (let attackers = bad; attackers > 0; attackers--) {
    const asked = aggregation.safeParse({ rule, attackers });
    const given = asked.success ? asked.data : aggregation.parse({ rule });
    if (updatesNeeded(given) <= updates) return given;
  }
  return null;
}

function trainersOf(setting: SuiteSetting, network: Network, { mode, attack }: Cell, bad: number) {
  const clients = setting.clients[mode];
  const { seed, picturesPerClient, local } = setting;
  const names = Array.from({ length: clients }, (_, i) => `client-${String(i + 1).padStart(3, "0")}` as ClientName);
  const data = names.map((name) => generatePictures(picturesPerClient, seed, name));
  const trainer = (pictures: Pictures) => pictureTrainer(network, pictures, local);
  const honest = data.slice(bad).map(trainer);
  if (attack === null) return new Map(names.map((name, i) => [name, honest[i] ?? trainer(data[i] as Pictures)]));
  const members = data.slice(0, bad).map((pictures) => trainer(poisoned(attack, pictures)));
  const all = [...attackers({ attack, clients, seed, members }), ...honest];
  return new Map(names.map((name, i) => [name, all[i] as (typeof all)[number]]));
}
