/**
 * What weights to begin with buy on one dataset: the same federation from the shipped weights and from random ones,
 * and central training on as many examples from each.
 */
import { join } from "node:path";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Metrics } from "../../shared/release/scores.ts";
import { arrange, type ClientData, labelsOfFolders, pooled } from "../arrange.ts";
import { alone } from "../central.ts";
import { run } from "../run.ts";
import { type Fold, folds, scenesOf } from "./folds.ts";
import { configOf, type Init, INITS, type MeasureSetting } from "./setting.ts";

/** One way to begin. */
interface Course {
  /** Metrics of every round; the first is before any training. */
  readonly rounds: readonly Metrics[];
  /** After as many examples as the federation's `setting.rounds` rounds saw. */
  readonly central: Metrics;
}

export interface Measured {
  readonly data: string;
  readonly examples: number;
  readonly courses: Readonly<Record<Init, Course>>;
}

/** Scored on what the clients hold out. */
export async function measure(setting: MeasureSetting, signal: AbortSignal): Promise<Measured> {
  const labels = await labelsOfFolders([setting.dir]);
  const courses = {} as Record<Init, Course>;
  let examples = 0;
  for (const init of INITS) {
    const rounds = init === "random" ? Math.max(setting.rounds, setting.randomRounds) : setting.rounds;
    const config = configOf(setting, labels, init, rounds);
    const clients = await arrange(config, [setting.dir], setting.clients, { by: "site" }, null);
    examples = clients.reduce((sum, { split }) => sum + split.train.length + split.evaluation.length, 0);
    courses[init] = await course(setting, config, clients, join(setting.out, init), signal);
  }
  return { data: setting.name, examples, courses };
}

export interface FoldScores {
  readonly fold: Fold;
  readonly courses: Readonly<Record<Init, Course>>;
}

/** The same on every fold of a dataset with scenes, in turn held out by all clients. */
export async function measureFolds(setting: MeasureSetting, count: number, signal: AbortSignal): Promise<FoldScores[]> {
  const labels = await labelsOfFolders([setting.dir]);
  const scenes = await scenesOf(setting.dir, labels);
  const done: FoldScores[] = [];
  for (const fold of folds(scenes, count, setting.clients, setting.seed, setting.dir)) {
    const courses = {} as Record<Init, Course>;
    for (const init of INITS) {
      const config = configOf(setting, labels, init, setting.rounds);
      const out = join(setting.out, `fold-${fold.number}`, init);
      courses[init] = await course(setting, config, fold.clients, out, signal);
    }
    done.push({ fold, courses });
  }
  return done;
}

async function course(
  setting: MeasureSetting,
  config: FederationConfig,
  clients: readonly ClientData[],
  out: string,
  signal: AbortSignal,
): Promise<Course> {
  const common = { data: { name: setting.name, generated: false }, pictures: 0, threads: 1, workers: setting.workers };
  const federated = await run({ ...common, config, clients, out: join(out, "federated") }, signal);
  const { rounds } = federated.report;
  for (const { round, metrics } of rounds)
    setting.onRound(`${out.split("/").slice(-2).join(" ")} round ${round}`, metrics);
  const seen = rounds.slice(0, setting.rounds + 1).reduce((sum, { examplesSeen }) => sum + examplesSeen, 0);
  const localSteps = Math.ceil(seen / config.training.batchSize);
  const single = alone({ ...config, training: { ...config.training, localSteps } });
  const central = await run(
    { ...common, config: single, clients: [pooled(clients)], out: join(out, "central") },
    signal,
  );
  const last = central.report.rounds.at(-1)?.metrics ?? {};
  setting.onRound(`${out.split("/").slice(-2).join(" ")} central`, last);
  return { rounds: rounds.map(({ metrics }) => metrics), central: last };
}
