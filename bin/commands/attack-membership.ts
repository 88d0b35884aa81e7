/** `allulook attack membership`: can one tell from a release which pictures it was trained on? */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import { generatedData } from "../../simulations/generated-data.ts";
import {
  attackedConfig,
  attackMembership,
  membershipTable,
  sitesOf,
  type MembershipResult,
} from "../../simulations/privacy/membership.ts";
import { run } from "../../simulations/run.ts";
import { integer, positive } from "../numbers.ts";
import { interruptible, note, printResult } from "../output.ts";

interface Options {
  readonly clients: number;
  readonly perSite: number;
  readonly rounds: number;
  readonly steps: number;
  readonly size: number;
  readonly seed: number;
  readonly epsilon: number[];
  readonly out: string;
  readonly json?: boolean;
}

export function registerMembership(attack: Command): void {
  attack
    .command("membership")
    .description("membership inference against released models, without and with differential privacy")
    .option("--clients <n>", "clients of each federation", positive, 4)
    .option("--per-site <n>", "generated pictures per site, half of them held out", positive, 40)
    .option("--rounds <n>", "rounds", positive, 8)
    .option("--steps <n>", "optimizer steps of a client in a round", positive, 25)
    .option("--size <pixels>", "height and width the model works at", positive, 64)
    .option("--seed <n>", "seed", integer, 7)
    .option("--epsilon <list>", "budgets to compare, beside none", (text) => text.split(",").map(Number), [32, 8])
    .requiredOption("--out <dir>", "where the federations and membership.json go")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook attack membership --epsilon 32,8 --out membership")
    .action(membership);
}

async function membership(options: Options): Promise<void> {
  const { epsilon: budgets, json, ...setting } = options;
  const wrong = budgets.find((epsilon) => !(epsilon > 0));
  if (wrong !== undefined) {
    throw new CodedError("USAGE", `--epsilon: expected positive numbers, got ${wrong}`, { field: "epsilon" });
  }
  const out = resolve(options.out);
  await loadEngine({ threads: 1 });
  const dir = await generatedData(join(out, "data"), setting.clients, setting.perSite, setting.size, setting.seed);
  const results: MembershipResult[] = [];
  await interruptible(async (signal) => {
    for (const epsilon of [null, ...budgets]) {
      signal.throwIfAborted();
      const config = attackedConfig(setting, epsilon);
      const clients = await sitesOf(config, dir, setting.clients);
      const name = epsilon === null ? "none" : `epsilon-${epsilon}`;
      const data = { name: "generated rooms", generated: true };
      const { report, result } = await run({ config, clients, out: join(out, name), data, pictures: 0 }, signal);
      const attacked = await attackMembership(config, clients, result.params, report, epsilon);
      results.push(attacked);
      note(`${name}: AUC ${attacked.auc.toFixed(3)}`);
    }
  });
  await writeFileDurably(join(out, "membership.json"), `${JSON.stringify({ setting, results }, null, 2)}\n`);
  printResult(json, { setting, results }, membershipTable(results));
}
