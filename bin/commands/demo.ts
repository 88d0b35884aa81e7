/** `allulook demo`: what `npm start` runs. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { CoordinatorStatus } from "../../coordinator/create.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { demo } from "../../simulations/demo.ts";
import { summarise } from "../../simulations/report/summary.ts";
import { integer, positive } from "../numbers.ts";
import { withSettings } from "../settings.ts";
import { interruptible, note, printResult } from "../output.ts";
import { roundLine } from "../progress.ts";

interface DemoOptions {
  readonly data?: string;
  readonly clients: number;
  readonly rounds: number;
  readonly perSite: number;
  readonly localSteps?: number;
  readonly seed: number;
  readonly init?: string;
  readonly set?: string[];
  readonly secureAggregation: FederationConfig["secureAggregation"]["mode"];
  readonly out: string;
  readonly json?: boolean;
}

/** Generated rooms show in seconds that everything works; real data should show that something is learned. */
const GENERATED_STEPS = 30;
const DATA_STEPS = 60;

export function register(program: Command): void {
  program
    .command("demo")
    .description("a whole federation of real processes on this machine, on generated rooms or your own data")
    .option("--data <dir>", "a dataset folder, split over the clients; without it, generated rooms")
    .option("--clients <n>", "client processes", positive, 4)
    .option("--rounds <n>", "rounds", positive, 3)
    .option("--per-site <n>", "generated pictures per site", positive, 32)
    .option("--local-steps <n>", "optimizer steps of a client in a round; default 30, with --data 60", positive)
    .option("--seed <n>", "seed of everything random in training", integer, 7)
    .option("--init <dir>", "release folder whose weights training begins with, or random, or pretrained")
    .option("--set <settings...>", "any other field of federation.yaml, such as training.personal=[norms]")
    .addOption(
      new Option("--secure-aggregation <mode>").choices(["malicious", "semi-honest", "off"]).default("malicious"),
    )
    .option("--out <dir>", "where everything goes; a demo replaces an earlier demo's folder", "demo")
    .option("--json", "report.json on stdout")
    .addHelpText("after", "\nExample: allulook demo --data ./pictures --rounds 5 --out run")
    .action(run);
}

async function run(options: DemoOptions): Promise<void> {
  const show = statusLine(options.rounds);
  const { report, html, json } = await interruptible((signal) =>
    demo(
      {
        data: options.data === undefined ? null : resolve(options.data),
        clients: options.clients,
        rounds: options.rounds,
        perSite: options.perSite,
        localSteps: options.localSteps ?? (options.data === undefined ? GENERATED_STEPS : DATA_STEPS),
        seed: options.seed,
        mode: options.secureAggregation,
        out: resolve(options.out),
        ...(options.init !== undefined && {
          init: /^(random|pretrained)$/.test(options.init) ? options.init : resolve(options.init),
        }),
        settled: (config) => withSettings(config, options.set),
        onStatus: show.status,
        onRound: (round) => {
          show.clear();
          note(roundLine(round));
        },
        say: note,
      },
      signal,
    ).finally(() => show.clear()),
  );
  printResult(options.json, report, summarise(report, { html, json }));
}

/** One line about what the processes are doing, rewritten on a terminal. */
function statusLine(rounds: number): { status(status: CoordinatorStatus): void; clear(): void } {
  const terminal = process.stderr.isTTY === true;
  return {
    status: ({ phase, round, clients }) => {
      if (!terminal) return;
      const bars = clients.map(({ name, connected, progress }) => {
        const done = progress === null ? "" : ` ${progress.step}/${progress.steps}`;
        return `${name}${connected ? done : " (away)"}`;
      });
      process.stderr.write(`\r\u001b[2Kround ${Math.max(round, 0)}/${rounds}: ${phase}  ${bars.join("  ")}`);
    },
    clear: () => {
      if (terminal) process.stderr.write("\r\u001b[2K");
    },
  };
}
