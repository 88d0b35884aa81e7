/** `allulook pretrain`: makes the weights that federations begin with, from generated scenes alone. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { pretrain, type PretrainingReport } from "../../simulations/pretraining/pretrain.ts";
import { PRETRAINING_SEED, type PretrainedPreset, RECIPES } from "../../simulations/pretraining/recipe.ts";
import { integer, positive } from "../numbers.ts";
import { interruptible, note, printResult } from "../output.ts";

interface Options {
  readonly preset: PretrainedPreset;
  readonly seed: number;
  readonly steps?: number;
  readonly pictures?: number;
  readonly evaluation?: number;
  readonly out: string;
  readonly json?: boolean;
}

/** Steps between two lines of news. */
const NEWS = 50;

export function register(program: Command): void {
  program
    .command("pretrain")
    .description("train Allulook4 on generated rooms, streets and surfaces, for federations to begin with")
    .addOption(
      new Option("--preset <name>", "which recipe")
        .choices(Object.keys(RECIPES))
        .default("nano" satisfies PretrainedPreset),
    )
    .option("--seed <n>", "seed of scenes, weights and training", integer, PRETRAINING_SEED)
    .option("--steps <n>", "instead of the recipe's", positive)
    .option("--pictures <n>", "generated pictures to train on, instead of the recipe's", positive)
    .option("--evaluation <n>", "generated pictures to score with, instead of the recipe's", positive)
    .requiredOption("--out <dir>", "where the model and its report go; started again, an interrupted training goes on")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook pretrain --preset nano --seed 7 --out nano")
    .action(async ({ preset, seed, out, json, ...given }: Options) => {
      const { steps, pictures, evaluation } = given;
      const recipe = {
        ...RECIPES[preset],
        ...(steps !== undefined && { steps }),
        ...(pictures !== undefined && { pictures }),
        ...(evaluation !== undefined && { evaluation }),
      };
      let sum = 0;
      const onProgress = (step: number, all: number, loss: number): void => {
        sum += loss;
        if (step % NEWS !== 0 && step !== all) return;
        note(`step ${step}/${all}  loss ${(sum / (step % NEWS === 0 ? NEWS : step % NEWS)).toFixed(3)}`);
        sum = 0;
      };
      const report = await interruptible((signal) =>
        pretrain({ preset, recipe, seed, out: resolve(out), onProgress }, signal),
      );
      printResult(json, report, textOf(report, out));
    });
}

function textOf({ metrics, bytes, seconds, params, sha256 }: PretrainingReport, out: string): string {
  const rows = Object.entries(metrics.fp32).flatMap(([head, values]) =>
    Object.entries(values as Record<string, number | null>).map(([name, value]) => {
      const stored = (metrics.int8 as Record<string, Record<string, number | null>>)[head]?.[name] ?? null;
      return `${`${head} ${name}`.padEnd(28)} ${numberOf(value)}  int8 ${numberOf(stored)}`;
    }),
  );
  return [
    ...rows,
    `${params} params, ${bytes} bytes as int8, ${seconds.toFixed(0)} s: ${out}`,
    `SHA-256 ${sha256}`,
  ].join("\n");
}

function numberOf(value: number | null): string {
  return value === null ? "-" : value.toFixed(3);
}
