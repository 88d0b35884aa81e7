/** `allulook compare-weights`: what beginning with the shipped weights buys, on a person's own data. */
import { basename, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import type { Metrics } from "../../shared/release/scores.ts";
import { labelsOfFolders } from "../../simulations/arrange.ts";
import { scenesOf } from "../../simulations/initial-weights/folds.ts";
import { measure, measureFolds } from "../../simulations/initial-weights/measure.ts";
import type { MeasureSetting } from "../../simulations/initial-weights/setting.ts";
import { foldsTable, metricsTable, roundsTable } from "../../simulations/initial-weights/tables.ts";
import { RECIPES } from "../../simulations/pretraining/recipe.ts";
import { integer, positive } from "../numbers.ts";
import { interruptible, note, printResult } from "../output.ts";

interface Options {
  readonly data: string[];
  readonly preset: keyof typeof RECIPES;
  readonly clients: number;
  readonly rounds: number;
  readonly randomRounds?: number;
  readonly localSteps: number;
  readonly size: number;
  readonly modalities: string;
  readonly folds?: number;
  readonly seed: number;
  readonly workers: number;
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command("compare-weights")
    .description("federated from the weights that ship against from random ones, and central training beside both")
    .requiredOption("--data <dirs...>", "dataset folders, each a federation of its own")
    .addOption(new Option("--preset <name>", "which weights").choices(Object.keys(RECIPES)).default("nano"))
    .option("--clients <n>", "how many clients the data is split over", positive, 4)
    .option("--rounds <n>", "rounds", positive, 5)
    .option("--random-rounds <n>", "rounds from random weights, where more are wanted", positive)
    .option("--local-steps <n>", "optimizer steps of a client in a round", positive, 20)
    .option("--size <pixels>", "height and width the model works at", positive, 128)
    .option("--modalities <list>", "modalities to use; the others are withheld", "rgb,depth,text")
    .option("--folds <k>", "judge the scene head by k-fold cross-validation, against the majority class", positive)
    .option("--seed <n>", "seed", integer, 7)
    .option("--workers <n>", "training workers", positive, 1)
    .requiredOption("--out <dir>", "where the runs go")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      "\nExample: allulook compare-weights --data ./streets --rounds 5 --random-rounds 10 --out compared",
    )
    .action(compareWeights);
}

async function compareWeights(options: Options): Promise<void> {
  const { rounds, folds } = options;
  const modalities = options.modalities.split(",") as FederationConfig["input"]["modalities"];
  const settings = options.data.map((dir): MeasureSetting => ({
    dir: resolve(dir),
    name: basename(resolve(dir)),
    preset: options.preset,
    clients: options.clients,
    rounds,
    randomRounds: options.randomRounds ?? rounds,
    localSteps: options.localSteps,
    size: options.size,
    modalities,
    seed: options.seed,
    workers: options.workers,
    out: join(resolve(options.out), basename(resolve(dir))),
    onRound: (what, metrics) => note(`${basename(resolve(dir))} ${what}: ${inShort(metrics)}`),
  }));
  const { result, text } = await interruptible(async (signal) => {
    if (folds !== undefined) return crossValidated(settings, folds, signal);
    const measured = [];
    for (const setting of settings) measured.push(await measure(setting, signal));
    return { result: measured, text: `${metricsTable(measured, rounds)}\n\n${roundsTable(measured)}` };
  });
  await writeFileDurably(join(resolve(options.out), "weights.json"), `${JSON.stringify(result, null, 1)}\n`);
  await writeFileDurably(join(resolve(options.out), "weights.md"), `${text}\n`);
  printResult(options.json, result, text);
}

async function crossValidated(settings: readonly MeasureSetting[], count: number, signal: AbortSignal) {
  const [setting, ...more] = settings;
  if (setting === undefined || more.length > 0)
    throw new CodedError("USAGE", "--folds takes one dataset", { field: "data" });
  const scores = await measureFolds(setting, count, signal);
  const scenes = await scenesOf(setting.dir, await labelsOfFolders([setting.dir]));
  const counts = scenes.reduce<number[]>((sums, scene) => {
    sums[scene] = (sums[scene] ?? 0) + 1;
    return sums;
  }, []);
  const majority = Math.max(...counts.filter((n) => n > 0)) / scenes.length;
  const result = {
    majority,
    folds: scores.map(({ fold, courses }) => ({ fold: fold.number, size: fold.size, courses })),
  };
  return { result, text: foldsTable(scores, setting.rounds, majority) };
}

/** Every head's first metric. */
function inShort(metrics: Metrics): string {
  return Object.entries(metrics)
    .map(
      ([head, values]) =>
        `${head} ${Object.entries(values)[0]
          ?.map((x) => (typeof x === "number" ? x.toFixed(3) : x))
          .join(" ")}`,
    )
    .join("  ");
}
