/** `allulook compare`: federated against central training, as many examples, the same evaluation samples, several seeds. */
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { report as reportSchema } from "../../simulations/report/schema.ts";
import { integer } from "../numbers.ts";
import { note, printResult } from "../output.ts";

const ALLULOOK = fileURLToPath(new URL("../../../bin/allulook", import.meta.url));

interface CompareOptions {
  readonly data?: string[];
  readonly clients: number;
  readonly rounds: number;
  readonly localSteps: number;
  readonly perSite: number;
  readonly seeds: string[];
  readonly federated: string[];
  readonly central: string[];
  readonly strategy?: string;
  readonly head: string;
  readonly metric: string;
  readonly out: string;
  readonly json?: boolean;
}

interface Pair {
  readonly seed: number;
  readonly federated: number;
  readonly central: number;
}

export function register(program: Command): void {
  program
    .command("compare")
    .description("federated against central training over several seeds: simulate, then train --match")
    .option("--data <dirs...>", "dataset folders; without them, generated rooms of unlike sites")
    .option("--clients <n>", "how many clients the data is split over", integer, 4)
    .option("--rounds <n>", "rounds", integer, 5)
    .option("--local-steps <n>", "optimizer steps of a client in a round", integer, 40)
    .option("--per-site <n>", "generated pictures per site", integer, 40)
    .option("--seeds <n...>", "seeds", ["1", "2", "3"])
    .option("--strategy <name>", "the federation's; fedavg unless given")
    .option("--federated <settings...>", "fields of the federation's federation.yaml, such as training.batchSize=2", [])
    .option("--central <settings...>", "fields for the central training, such as training.batchSize=8", [])
    .option("--head <name>", "head to compare", "segmentation")
    .option("--metric <name>", "metric to compare; higher is better", "mIoU")
    .requiredOption("--out <dir>", "where the runs go")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook compare --data ./pictures --clients 4 --out compared")
    .action(compare);
}

async function compare(options: CompareOptions): Promise<void> {
  const pairs: Pair[] = [];
  for (const seed of options.seeds.map(integer)) {
    const out = join(resolve(options.out), `seed-${seed}`);
    const federated = join(out, "federated");
    const central = join(out, "central");
    const data = options.data === undefined ? ["--per-site", String(options.perSite)] : ["--data", ...options.data];
    allulook([
      "simulate",
      ...data,
      "--clients",
      String(options.clients),
      "--rounds",
      String(options.rounds),
      "--local-steps",
      String(options.localSteps),
      "--seed",
      String(seed),
      ...(options.strategy === undefined ? [] : ["--strategy", options.strategy]),
      ...settings(options.federated),
      "--out",
      federated,
    ]);
    const report = join(federated, "report.json");
    allulook(["train", "--match", report, ...settings(options.central), "--out", central]);
    const pair = { seed, federated: await score(federated, options), central: await score(central, options) };
    pairs.push(pair);
    note(`seed ${seed}: federated ${pair.federated.toFixed(4)}, central ${pair.central.toFixed(4)}`);
  }
  const mean = (of: (pair: Pair) => number) => pairs.reduce((sum, pair) => sum + of(pair), 0) / pairs.length;
  const [federated, central] = [mean((pair) => pair.federated), mean((pair) => pair.central)];
  const result = {
    head: options.head,
    metric: options.metric,
    pairs,
    mean: { federated, central, ratio: federated / central },
  };
  await writeFileDurably(join(resolve(options.out), "comparison.json"), `${JSON.stringify(result, null, 2)}\n`);
  const lines = pairs.map(
    ({ seed, federated: f, central: c }) =>
      `seed ${seed}: federated ${f.toFixed(4)}  central ${c.toFixed(4)}  ratio ${(f / c).toFixed(3)}`,
  );
  printResult(
    options.json,
    result,
    [
      `${options.head} ${options.metric}`,
      ...lines,
      `mean:   federated ${federated.toFixed(4)}  central ${central.toFixed(4)}  ratio ${(federated / central).toFixed(3)}`,
    ].join("\n"),
  );
}

function settings(fields: readonly string[]): readonly string[] {
  return fields.length === 0 ? [] : ["--set", ...fields];
}

function allulook(args: readonly string[]): void {
  const run = spawnSync(process.execPath, [ALLULOOK, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  if (run.status !== 0)
    throw new CodedError("COMPARISON_FAILED", `allulook ${args[0]} ended with ${run.status ?? run.signal}`);
}

/** The last evaluated round's score. */
async function score(folder: string, { head, metric }: CompareOptions): Promise<number> {
  const path = join(folder, "report.json");
  const { rounds } = parseConfig(reportSchema, JSON.parse(await readFile(path, "utf8")), path);
  const value = rounds.at(-1)?.metrics[head]?.[metric];
  if (value === undefined || value === null)
    throw new CodedError("USAGE", `${path} has no ${head} ${metric}`, { field: "metric" });
  return value;
}
