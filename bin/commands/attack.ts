/** `allulook attack table`: what each aggregation rule keeps of a model's accuracy while some clients attack. */
import { join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { loadEngine } from "../../models/engine/node/load.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { ATTACKS, type Attack } from "../../simulations/attacks/attackers.ts";
import { Results } from "../../simulations/attacks/results.ts";
import {
  cellsOf,
  checkGoesOn,
  MODES,
  ROBUST_RULES,
  runCell,
  USUAL_SUITE,
  type Mode,
  type SuiteSetting,
} from "../../simulations/attacks/suite.ts";
import { accuracyTable, backdoorTable, robustnessPage } from "../../simulations/attacks/table.ts";
import { integer, positive } from "../numbers.ts";
import { interruptible, note, printResult } from "../output.ts";
import { registerInversion } from "./attack-inversion.ts";
import { registerMembership } from "./attack-membership.ts";

interface Options {
  readonly modes: Mode[];
  readonly clients: number;
  readonly groupedClients: number;
  readonly rounds: number;
  readonly seed: number;
  readonly steps: number;
  readonly rules: (typeof ROBUST_RULES)[number][];
  readonly attacks: Attack[];
  readonly percent: number[];
  readonly out: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const attack = program.command("attack").description("attacks on a federation and on its releases, simulated");
  attack
    .command("table")
    .description("accuracy (and backdoor success) under attack, for every aggregation rule")
    .addOption(
      new Option("--modes <names...>", "single updates seen by a trusted coordinator, or secure sums of groups of 3")
        .choices([...MODES])
        .default([...MODES]),
    )
    .option(
      "--clients <n>",
      "clients of a federation with a trusted coordinator",
      positive,
      USUAL_SUITE.clients.trusted,
    )
    .option("--grouped-clients <n>", "clients of one whose groups are summed", positive, USUAL_SUITE.clients.grouped)
    .option("--rounds <n>", "rounds", positive, USUAL_SUITE.rounds)
    .option("--steps <n>", "optimizer steps of a client in a round", positive, USUAL_SUITE.local.steps)
    .option("--seed <n>", "seed", integer, USUAL_SUITE.seed)
    .addOption(
      new Option("--rules <names...>", "aggregation rules").choices([...ROBUST_RULES]).default([...ROBUST_RULES]),
    )
    .addOption(new Option("--attacks <names...>", "attacks").choices([...ATTACKS]).default([...ATTACKS]))
    .option(
      "--percent <list>",
      "shares of attackers, in per cent",
      (text) => text.split(",").map(Number),
      USUAL_SUITE.shares.map((share) => Math.round(100 * share)),
    )
    .requiredOption("--out <dir>", "where results.json and robustness.md go; the same command goes on there")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook attack table --rules mean median --attacks signFlip --out attacked")
    .action(table);
  registerInversion(attack);
  registerMembership(attack);
}

async function table(options: Options): Promise<void> {
  const setting = settingOf(options);
  const out = resolve(options.out);
  const results = await Results.open(join(out, "results.json"), setting);
  const cells = cellsOf(setting);
  await loadEngine({ threads: 1 });
  await interruptible(async (signal) => {
    for (const [i, cell] of cells.entries()) {
      if (results.of(cell) !== null) continue;
      checkGoesOn(signal);
      const result = await runCell(setting, cell, signal);
      await results.add(result);
      const { mode, rule, attack, share, accuracy, backdoor, seconds } = result;
      const what = attack === null ? "no attack" : `${attack} by ${Math.round(100 * share)} %`;
      const scores = accuracy === null ? "too few clients" : `accuracy ${accuracy.toFixed(3)}`;
      const patch = backdoor === null ? "" : `  backdoor ${backdoor.toFixed(3)}`;
      note(`${i + 1}/${cells.length} ${mode} ${rule}, ${what}: ${scores}${patch}  ${seconds.toFixed(1)} s`);
    }
  });
  const measured = { setting, resultOf: results.of.bind(results), command: commandOf(options) };
  await writeFileDurably(join(out, "robustness.md"), robustnessPage(measured));
  const value = { setting, results: cells.map((cell) => results.of(cell)) };
  const tables = setting.modes.flatMap((mode) => [
    `${mode}: accuracy in %`,
    accuracyTable(measured, mode),
    ...(setting.attacks.includes("backdoor") ? [`${mode}: backdoor in %`, backdoorTable(measured, mode)] : []),
  ]);
  printResult(options.json, value, `${tables.join("\n\n")}\n\n${join(out, "robustness.md")}`);
}

/** USAGE for shares that are none. */
function settingOf(options: Options): SuiteSetting {
  const { modes, rounds, seed, steps, rules, attacks, percent } = options;
  const clients = { trusted: options.clients, grouped: options.groupedClients };
  const wrong = percent.find((share) => !(share > 0 && share < 50));
  if (wrong !== undefined) {
    throw new CodedError("USAGE", `--percent: expected numbers above 0 and below 50, got ${wrong}`, {
      field: "percent",
    });
  }
  const shares = percent.map((share) => share / 100);
  return {
    ...USUAL_SUITE,
    modes,
    clients,
    rounds,
    seed,
    rules,
    attacks,
    shares,
    local: { ...USUAL_SUITE.local, steps },
  };
}

function commandOf({ modes, clients, groupedClients, rounds, seed, steps, rules, attacks, percent }: Options): string {
  const usual = USUAL_SUITE;
  const parts = [
    ["--modes", modes.join(" "), usual.modes.join(" ")],
    ["--clients", clients, usual.clients.trusted],
    ["--grouped-clients", groupedClients, usual.clients.grouped],
    ["--rounds", rounds, usual.rounds],
    ["--steps", steps, usual.local.steps],
    ["--seed", seed, usual.seed],
    ["--rules", rules.join(" "), usual.rules.join(" ")],
    ["--attacks", attacks.join(" "), usual.attacks.join(" ")],
    ["--percent", percent.join(","), usual.shares.map((share) => Math.round(100 * share)).join(",")],
  ] as const;
  const given = parts.flatMap(([name, value, normal]) => (value === normal ? [] : [`${name} ${value}`]));
  return ["npx allulook attack table", ...given, "--out attacked"].join(" ");
}
