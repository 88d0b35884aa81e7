/** `allulook bench`: measures this machine, one process per benchmark, and prints one JSON document. */
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { runAlone } from "../../simulations/bench/alone.ts";
import { BENCHMARKS } from "../../simulations/bench/suite.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { note } from "../output.ts";

export function register(program: Command): void {
  program
    .command("bench")
    .description("measure engine, masks, rounds, transfers and training on this machine")
    .option("--only <names...>", "run these benchmarks alone")
    .option("--list", "list the benchmarks")
    .option("--out <file>", "write the JSON there, too")
    .option("--json", "one JSON document on stdout (always so)")
    .addHelpText("after", "\nExample: allulook bench --only mask-stream masking-1M-9")
    .action(async (options: { only?: string[]; list?: boolean; out?: string }) => {
      if (options.list === true) {
        for (const { name, what } of BENCHMARKS) process.stdout.write(`${name}: ${what}\n`);
        return;
      }
      const unknown = options.only?.find((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
      if (unknown !== undefined) throw new CodedError("USAGE", `there is no benchmark ${unknown}; see --list`);
      const chosen = BENCHMARKS.filter(({ name }) => options.only?.includes(name) ?? true);
      const results: Record<string, unknown> = {};
      for (const { name, what } of chosen) {
        note(`${name}: ${what}`);
        results[name] = runAlone(name);
        note(`  ${JSON.stringify(results[name])}`);
      }
      const report = `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`;
      process.stdout.write(report);
      if (options.out !== undefined) await writeFileDurably(options.out, report);
      if (Object.values(results).some((result) => "error" in (result as object))) process.exitCode = 1;
    });
}

function machine(): Record<string, unknown> {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}
