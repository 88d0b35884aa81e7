/** `allulook tune`: a search for settings of federation.yaml by successive halving, over simulated federations. */
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { parse, stringify } from "yaml";
import { checkFederationConfig, withoutStart } from "../../coordinator/config.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { HEAD_SCORE, HEADS } from "../../shared/release/scores.ts";
import { openPool } from "../../simulations/run.ts";
import { rungsOf } from "../../simulations/tuning/halving.ts";
import { Journal } from "../../simulations/tuning/journal.ts";
import { search, type TrialResult } from "../../simulations/tuning/search.ts";
import {
  drawTrials,
  objectiveOf,
  searchFile,
  settingText,
  type Search,
  type Settings,
} from "../../simulations/tuning/space.ts";
import { resultTable } from "../../simulations/tuning/table.ts";
import { forgetStates, runTrial, trialFolder } from "../../simulations/tuning/trial.ts";
import { interruptible, note, printResult } from "../output.ts";
import { liveProgress } from "../progress.ts";
import { withSettings } from "../settings.ts";
import { dataName, prepared, simulated, type SimulateOptions } from "./simulate.ts";

type TuneOptions = SimulateOptions & { readonly search: string };

export function register(program: Command): void {
  simulated(program.command("tune"))
    .description("search for settings of federation.yaml by successive halving, each trial a simulated federation")
    .requiredOption("--search <file>", "YAML: metric, trials, eta, rounds, and the space of fields to search")
    .addHelpText(
      "after",
      `
search.yaml, for example:
  metric: segmentation.mIoU
  trials: 9
  eta: 3                          # the best third goes on, for three times as many rounds
  rounds: { least: 1, most: 9 }
  space:
    training.optimizer.learningRate: { log: [0.0005, 0.02] }
    training.batchSize: { range: [4, 16], integer: true }
    training.optimizer.name: [adam, rmsprop]

The same command goes on where it was interrupted. The best settings are written as OUT/federation.yaml.
Example: allulook tune --search search.yaml --data ./pictures --clients 4 --out tuned`,
    )
    .action(tune);
}

async function tune(options: TuneOptions): Promise<void> {
  const out = resolve(options.out);
  const wanted = parseConfig(searchFile, await readYaml(options.search), options.search);
  const { clients, generated, dirs, config } = await prepared({ ...options, rounds: wanted.rounds.most });
  const base = withoutStopRule(config);
  const objective = objectiveOf(wanted.metric ?? firstMetric(base));
  const configOf = (settings: Settings): FederationConfig =>
    checkFederationConfig(
      parseConfig(federationConfig, withSettings(base, Object.entries(settings).map(settingText)), options.search),
      options.search,
    ).config;
  const trials = drawTrials(wanted, (settings) => refusal(() => configOf(settings)));
  if (trials.length < wanted.trials) note(`the space holds ${trials.length} different trials, not ${wanted.trials}`);
  const { trials: _drawn, ...rules } = wanted;
  const names = clients.map(({ name, parts, split }) => ({ name, parts, split }));
  const facts = { rules, trials, base, clients: names, threads: options.threads ?? 1 };
  const journal = await Journal.open(join(out, "tune.jsonl"), facts);
  if (journal.entries.length > 0) note(`going on after ${journal.entries.length} results in ${relative("", out)}`);
  const pool = openPool({ clients, ...given(options) });
  const results = await interruptible(async (signal) => {
    try {
      return await search(wanted, trials, objective.better, journal, async (turn) => {
        const { rounds } = turn.rungs[turn.rung] ?? { rounds: 0 };
        const where = `rung ${turn.rung + 1}/${turn.rungs.length}, trial ${turn.place.at}/${turn.place.of}`;
        note(`${where}, to round ${rounds}: ${Object.entries(turn.settings).map(settingText).join(" ")}`);
        const progress = liveProgress(rounds);
        const data = { name: dataName({ dirs, generated }), generated };
        const { observer, training: onTraining } = progress;
        const setting = { config: configOf(turn.settings), clients, out, data, pool, observer, onTraining };
        return runTrial(setting, turn, objective, signal).finally(() => progress.end());
      });
    } finally {
      await pool.close();
    }
  });
  for (const { trial } of results) await forgetStates(out, trial, rungsOf(trials.length, wanted));
  await report(out, options.json, wanted, objective, results, configOf);
}

async function report(
  out: string,
  json: boolean | undefined,
  wanted: Search,
  objective: ReturnType<typeof objectiveOf>,
  results: readonly TrialResult[],
  configOf: (settings: Settings) => FederationConfig,
): Promise<void> {
  const best = results.find(({ score }) => score !== null);
  if (best === undefined)
    throw new CodedError("TUNING_FAILED", `no trial could be scored: ${results[0]?.reason ?? ""}`);
  const file = join(out, "federation.yaml");
  const title = `# Best of ${results.length} trials by ${objective.head}.${objective.metric}: ${best.score} after ${best.rounds} rounds.\n`;
  await writeFileDurably(file, `${title}${stringify(writable(configOf(best.settings)))}`);
  const folder = trialFolder(out, best.trial);
  const document = { search: wanted, objective, results, best: { ...best, config: file, folder } };
  await writeFileDurably(join(out, "tune.json"), `${JSON.stringify(document, null, 2)}\n`);
  const text = [
    resultTable(results, wanted, objective),
    "",
    `best: trial ${best.trial + 1}, ${Object.entries(best.settings).map(settingText).join(" ")}`,
    `federation.yaml: ${file}`,
    `its run:         ${join(folder, "report.html")}`,
  ];
  printResult(json, document, text.join("\n"));
}

/** As a person would write it: what a model of one's own holds is read from its file again. */
function writable({ model: { own: _own, base: _base, ...model }, ...config }: FederationConfig): object {
  const { proximal, ...training } = config.training;
  // FedProx's term comes from the strategy.
  return {
    ...config,
    model: withoutStart(model),
    training: ["fedprox", "feddyn"].includes(config.strategy.name) ? training : { ...training, proximal },
  };
}

/** Every trial takes its rounds, its own strategy's proximal term, and the weights that its preset begins with. */
function withoutStopRule(config: FederationConfig): FederationConfig {
  const { schedule, strategy, training } = config;
  return {
    ...config,
    model: withoutStart(config.model),
    schedule: { ...schedule, untilMetric: null, untilDate: null },
    training: ["fedprox", "feddyn"].includes(strategy.name) ? { ...training, proximal: 0 } : training,
  };
}

/** What the first head that has labels is judged by. */
function firstMetric({ labels }: FederationConfig): string {
  const head = HEADS.find((name) => (name === "depth" ? labels.depth.kind !== "none" : labels[name].length > 0));
  return `${head ?? "segmentation"}.${HEAD_SCORE[head ?? "segmentation"]}`;
}

function refusal(check: () => unknown): CodedError | null {
  try {
    check();
    return null;
  } catch (error) {
    if (isCoded(error)) return error;
    throw error;
  }
}

function given({ workers, threads }: TuneOptions): { workers?: number; threads?: number } {
  return { ...(workers !== undefined && { workers }), ...(threads !== undefined && { threads }) };
}

async function readYaml(path: string): Promise<unknown> {
  try {
    return parse(await readFile(path, "utf8"), { uniqueKeys: true }) as unknown;
  } catch (cause) {
    throw new CodedError("USAGE", `--search: cannot read ${path}: ${String(cause)}`, { file: path }, { cause });
  }
}
