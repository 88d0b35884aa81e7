/** `allulook simulate` and `allulook train`: researchers' federations on this machine, and their central yardstick. */
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { checkFederationConfig, readFederationConfig, withoutStart } from "../../coordinator/config.ts";
import { withoutNoise } from "../../coordinator/privacy-config.ts";
import { completeConfig } from "../../coordinator/own-model.ts";
import { withTeacher } from "../../coordinator/teacher.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { factsOf } from "../../shared/config/models.ts";
import { headsOf } from "../../shared/config/own-model.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Head } from "../../shared/release/scores.ts";
import { arrange, labelsOfFolders, pooled, withoutLabels } from "../../simulations/arrange.ts";
import { alone } from "../../simulations/central.ts";
import { generatedData } from "../../simulations/generated-data.ts";
import { learnedLabels } from "../../simulations/learned-labels.ts";
import type { Partitioner } from "../../simulations/partition/partition.ts";
import { report as reportSchema } from "../../simulations/report/schema.ts";
import { run, SETUP_FILE, setupFile, type RunSetting } from "../../simulations/run.ts";
import { summarise } from "../../simulations/report/summary.ts";
import { integer, number, positive } from "../numbers.ts";
import { withSettings } from "../settings.ts";
import { interruptible, printResult } from "../output.ts";
import { liveProgress } from "../progress.ts";

export interface SimulateOptions {
  readonly config?: string;
  readonly data?: string[];
  readonly evalData?: string;
  readonly clients: number;
  readonly rounds?: number;
  readonly seed?: number;
  readonly model?: string;
  readonly preset?: string;
  readonly init?: string;
  readonly modalities?: string;
  readonly secureAggregation?: FederationConfig["secureAggregation"]["mode"];
  readonly strategy?: string;
  readonly localSteps?: number;
  readonly batchSize?: number;
  readonly learningRate?: number;
  readonly size?: number;
  readonly perSite: number;
  readonly unlabelled: number;
  readonly partition: string;
  readonly set?: string[];
  readonly workers?: number;
  readonly threads?: number;
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  simulated(program.command("simulate"))
    .description("run a federation in this process, with the code that runs between sites")
    .option("--rounds <n>", "rounds", positive)
    .addHelpText("after", "\nExample: allulook simulate --data ./pictures --clients 4 --rounds 5 --seed 7 --out run")
    .action(simulateCommand);
  shared(program.command("train"))
    .description("the same training centrally: the yardstick for a federation")
    .option("--data <dirs...>", "dataset folders; with --match those of that run unless given")
    .option("--eval-data <dir>", "score on this dataset instead of a held-out part")
    .option("--epochs <n>", "passes over the training samples", positive)
    .option("--match <report>", "report.json of a simulated run: as many examples, the same evaluation samples")
    .addHelpText("after", "\nExample: allulook train --match run/report.json --out central")
    .action(trainCommand);
}

/** The options of everything that simulates federations. */
export function simulated(command: Command): Command {
  command
    .option("--config <file>", "federation.yaml; the other options override it")
    .option("--data <dirs...>", "dataset folders; without them, generated rooms")
    .option("--eval-data <dir>", "score on this dataset instead of what the clients hold out")
    .option("--clients <n>", "how many clients the data is split over", positive, 4)
    .option("--partition <how>", "site, iid, or dirichlet:ALPHA", "site")
    .option("--per-site <n>", "generated pictures per site", positive, 40)
    .option("--unlabelled <n>", "how many clients, the last ones, train without looking at their labels", integer, 0);
  return shared(command)
    .option("--secure-aggregation <mode>", "malicious, semi-honest or off")
    .option(
      "--strategy <name>",
      "fedavg, fedprox, fedadam, fedyogi, fedadagrad, fednova, qfedavg, scaffold, feddyn or fedbuff",
    );
}

function shared(command: Command): Command {
  return command
    .option("--seed <n>", "seed of everything random in training", integer)
    .option("--model <name>", "model of the table, or the .yaml file of a model of your own")
    .option("--preset <name>", "nano, tiny, small or base")
    .option("--init <dir>", "release folder whose weights training begins with, or random, or pretrained")
    .option("--size <pixels>", "height and width the model works at", integer)
    .option("--modalities <list>", "modalities to use, such as rgb,depth; the others are withheld")
    .option("--local-steps <n>", "optimizer steps of a client in a round", positive)
    .option("--batch-size <n>", "samples of one step", positive)
    .option("--learning-rate <x>", "of the client optimizer", number)
    .option("--set <settings...>", "any other field of federation.yaml, such as training.optimizer.name=sgd")
    .option("--workers <n>", "training workers; default one per core", positive)
    .option("--threads <n>", "threads of one operation", positive)
    .requiredOption("--out <dir>", "where report, releases and transcripts go")
    .option("--json", "one JSON document on stdout");
}

async function simulateCommand(options: SimulateOptions): Promise<void> {
  const { config, clients, dirs, generated } = await prepared(options);
  await execute(config, clients, dirs, generated, resolve(options.out), options);
}

export interface Prepared {
  readonly config: FederationConfig;
  readonly clients: RunSetting["clients"];
  readonly dirs: readonly string[];
  readonly generated: boolean;
}

/** The federation that the options speak of; rooms are generated where they name no data. */
export async function prepared(options: SimulateOptions): Promise<Prepared> {
  const out = resolve(options.out);
  const given = options.config === undefined ? null : (await readFederationConfig(options.config)).config;
  const seed = options.seed ?? given?.seed ?? 7;
  const size = options.size ?? given?.input.size[0] ?? 128;
  const generated =
    options.data === undefined
      ? await generatedData(join(out, "data"), options.clients, options.perSite, size, seed)
      : null;
  const dirs = generated === null ? (options.data ?? []).map((dir) => resolve(dir)) : [generated];
  const base = given ?? (await standard("simulation", options, await labelsOfFolders(dirs)));
  const wanted = configured(base, given !== null, options, { seed, clients: options.clients });
  const config = await withTeacher(wanted, process.cwd());
  const clients = await arrange(
    config,
    dirs,
    options.clients,
    partitioner(options.partition, seed),
    options.evalData === undefined ? null : resolve(options.evalData),
  );
  const sites = withoutLabels(clients, options.unlabelled);
  return { config, clients: sites, dirs, generated: generated !== null };
}

/** What a run's report calls its data. */
export function dataName({ dirs, generated }: Pick<Prepared, "dirs" | "generated">): string {
  return generated ? "generated rooms" : dirs.map((dir) => dir.split("/").at(-1)).join(", ");
}

/**
 * The configuration of no file: the defaults of the model that `--model` names, by its name in the table or by the
 * .yaml of a model of one's own, and of the data's labels those that it learns.
 */
async function standard(
  federation: string,
  options: Pick<SimulateOptions, "model" | "preset" | "init">,
  labels: FederationConfig["labels"],
): Promise<FederationConfig> {
  const { model, preset, init } = options;
  const fresh = { name: model ?? "allulook4", ...(preset !== undefined && { preset }) };
  const begin =
    init === undefined ? fresh : isStart(init) ? { ...fresh, init } : { name: model, preset, init: resolve(init) };
  const raw = { federation, labels, model: /\.ya?ml$/.test(model ?? "") ? { init: model } : begin };
  const config = parseConfig(federationConfig, await completeConfig(raw, process.cwd(), "options"), "options");
  const { name, own } = config.model;
  const heads: ReadonlySet<Head> = own === undefined ? new Set(factsOf(name)?.heads) : headsOf(own);
  return { ...config, labels: learnedLabels(name, heads, labels) };
}

/** The base configuration, with what the options say instead; `given`: it stands in a federation.yaml. */
function configured(
  base: FederationConfig,
  given: boolean,
  options: Omit<SimulateOptions, "clients" | "perSite" | "partition" | "data" | "unlabelled">,
  fixed: { seed: number; clients: number },
): FederationConfig {
  const { input, training, schedule } = base;
  const { localEpochs, ...steps } = training;
  const mode = options.secureAggregation ?? base.secureAggregation.mode;
  const sameStrategy = options.strategy === undefined || options.strategy === base.strategy.name;
  const raw = {
    ...base,
    privacy: withoutNoise(base.privacy),
    seed: fixed.seed,
    model: {
      ...withoutStart(base.model),
      ...(options.preset !== undefined && { preset: options.preset }),
      ...(isStart(options.init) && { init: options.init }),
    },
    input: {
      size: options.size === undefined ? input.size : [options.size, options.size],
      modalities: options.modalities?.split(",") ?? input.modalities,
    },
    training: {
      ...steps,
      ...(options.localSteps === undefined && localEpochs !== undefined && { localEpochs }),
      ...(options.localSteps !== undefined && { localSteps: options.localSteps }),
      // The proximal term goes with the strategy that brought it.
      ...(!sameStrategy && ["fedprox", "feddyn"].includes(base.strategy.name) && { proximal: 0 }),
      batchSize: options.batchSize ?? training.batchSize,
      optimizer: { ...training.optimizer, learningRate: options.learningRate ?? training.optimizer.learningRate },
    },
    strategy: sameStrategy ? base.strategy : { name: options.strategy },
    secureAggregation: { ...base.secureAggregation, mode },
    schedule: {
      ...schedule,
      rounds: options.rounds ?? (given ? schedule.rounds : 5),
      // A trusted coordinator may sum any number; secure sums have a least size that options cannot undo.
      minSurvivors: !given && mode === "off" ? Math.min(schedule.minSurvivors, fixed.clients) : schedule.minSurvivors,
      cohort: {
        ...schedule.cohort,
        min: given ? Math.min(schedule.cohort.min, fixed.clients) : fixed.clients,
        max: Math.max(schedule.cohort.max, fixed.clients),
      },
    },
  };
  return checkFederationConfig(
    parseConfig(federationConfig, withSettings(raw, options.set, elsewhere(options.set)), options.config ?? "options"),
    options.config ?? "options",
  ).config;
}

/** What data and clients are made and arranged by, before single fields are set. */
const ELSEWHERE = {
  seed: "--seed",
  "input.size": "--size",
  "model.name": "--model",
  "model.preset": "--preset",
};

/** A file or folder of model.init is read before, too. */
function elsewhere(set: readonly string[] = []): Readonly<Record<string, string>> {
  return set.some((setting) => /^model\.init=(pretrained|random)$/.test(setting))
    ? ELSEWHERE
    : { ...ELSEWHERE, "model.init": "--init" };
}

/** A word that `--init` takes instead of a folder. */
function isStart(init: string | undefined): boolean {
  return init === "pretrained" || init === "random";
}

function partitioner(text: string, seed: number): Partitioner {
  if (text === "site") return { by: "site" };
  if (text === "iid") return { by: "iid", seed };
  const alpha = Number(/^dirichlet:(.+)$/.exec(text)?.[1]);
  if (alpha > 0) return { by: "dirichlet", seed, alpha };
  throw new CodedError("USAGE", `--partition: expected site, iid or dirichlet:ALPHA, got "${text}"`, {
    field: "partition",
  });
}

async function trainCommand(
  options: Omit<SimulateOptions, "clients" | "unlabelled"> & { match?: string; epochs?: number },
): Promise<void> {
  const out = resolve(options.out);
  const matched = options.match === undefined ? null : await readMatched(options.match);
  if (matched === null && options.data === undefined)
    throw new CodedError("USAGE", "give --data or --match", { field: "data" });
  const dirs = options.data?.map((dir) => resolve(dir)) ?? [];
  const seed = options.seed ?? matched?.config.seed ?? 7;
  const base = matched?.config ?? (await standard("central", options, await labelsOfFolders(dirs)));
  const clients =
    matched === null || options.data !== undefined
      ? await arrange(
          { ...base, seed },
          dirs,
          matched?.clients.length ?? 1,
          { by: "site" },
          options.evalData === undefined ? null : resolve(options.evalData),
        )
      : matched.clients;
  const central = pooled(clients);
  const { batchSize } = configured(base, true, options, { seed, clients: base.schedule.cohort.min }).training;
  const steps =
    matched === null
      ? Math.ceil(((options.epochs ?? 10) * central.split.train.length) / batchSize)
      : Math.ceil(matched.examplesSeen / batchSize);
  const config = alone(
    configured(
      base,
      true,
      { ...options, localSteps: options.localSteps ?? steps },
      { seed, clients: base.schedule.cohort.min },
    ),
  );
  await execute(
    await withTeacher(config, process.cwd()),
    [central],
    dirs.length > 0 ? dirs : [matched?.dataName ?? ""],
    matched?.generated ?? false,
    out,
    options,
  );
}

async function readMatched(path: string): Promise<{
  config: FederationConfig;
  clients: RunSetting["clients"];
  examplesSeen: number;
  dataName: string;
  generated: boolean;
}> {
  const read = async (file: string): Promise<unknown> => {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      throw new CodedError("USAGE", `--match: cannot read ${file}`, { file }, { cause: error });
    }
  };
  const report = parseConfig(reportSchema, await read(path), path);
  const file = join(dirname(path), SETUP_FILE);
  const setup = parseConfig(setupFile, await read(file), file);
  const examplesSeen = report.rounds.reduce((sum, round) => sum + round.examplesSeen, 0);
  return { ...setup, clients: setup.clients as RunSetting["clients"], examplesSeen };
}

async function execute(
  config: FederationConfig,
  clients: RunSetting["clients"],
  dirs: readonly string[],
  generated: boolean,
  out: string,
  options: Pick<SimulateOptions, "workers" | "threads" | "json">,
): Promise<void> {
  const progress = liveProgress(config.schedule.rounds);
  const name = dataName({ dirs, generated });
  const { report, html, json } = await interruptible((signal) =>
    run(
      {
        config,
        clients,
        out,
        data: { name, generated },
        observer: progress.observer,
        onTraining: progress.training,
        ...(options.workers !== undefined && { workers: options.workers }),
        ...(options.threads !== undefined && { threads: options.threads }),
      },
      signal,
    ).finally(() => progress.end()),
  );
  printResult(options.json, report, summarise(report, { html, json }));
  if (
    report.rounds.filter(({ round, status }) => round > 0 && status === "completed").length < config.schedule.rounds
  ) {
    process.exitCode = 1;
  }
}
