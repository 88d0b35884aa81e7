/** `allulook doctor`: is everything here that a federation needs, and what to do about what is not. */
import type { Command } from "commander";
import { CodedError } from "../../shared/errors.ts";
import { examine, type Finding } from "../doctor/checks.ts";
import { printResult } from "../output.ts";

const MARKS = { ok: "ok      ", warning: "warning ", problem: "PROBLEM " } as const;

export function register(program: Command): void {
  program
    .command("doctor")
    .description("check engine, its speed, Node, database, disk, port and clock, and say what to do")
    .option("--folder <dir>", "folder whose disk is looked at", ".")
    .option("--port <n>", "port a coordinator would listen on", "7443")
    .option("--coordinator <url>", "compare the clock with this coordinator's")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      "\nExit code 0 if nothing keeps a federation from running, else 1.\n\nExample: allulook doctor --folder /data",
    )
    .action(async (options: { folder: string; port: string; coordinator?: string; json?: boolean }) => {
      const port = Number(options.port);
      if (!Number.isInteger(port) || port < 0 || port > 65_535) {
        throw new CodedError("USAGE", `--port: expected a port number, got "${options.port}"`);
      }
      if (options.coordinator !== undefined && !URL.canParse(options.coordinator)) {
        throw new CodedError("USAGE", `--coordinator: expected a URL, got "${options.coordinator}"`);
      }
      const findings = await examine({ folder: options.folder, port, coordinator: options.coordinator ?? null });
      const healthy = findings.every(({ level }) => level !== "problem");
      printResult(options.json, { healthy, findings }, findings.map(describe).join("\n"));
      if (!healthy) process.exitCode = 1;
    });
}

function describe({ check, level, found, remedy }: Finding): string {
  const line = `${MARKS[level]} ${check.padEnd(9)} ${found}`;
  return remedy === null ? line : `${line}\n${" ".repeat(19)}${remedy}`;
}
