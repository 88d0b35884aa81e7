/** `allulook engine status | install | bench`: the TensorFlow backend of this machine, why it is used, and its speed. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { measureEngine } from "../../models/engine/measure.ts";
import { BACKENDS, loadEngine, type Backend, type EngineInfo } from "../../models/engine/node/load.ts";
import { CodedError } from "../../shared/errors.ts";
import { note, printResult } from "../output.ts";

export function register(program: Command): void {
  const engine = program.command("engine").description("the TensorFlow backend of this machine");

  engine
    .command("status")
    .description("which backend is used, and why")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook engine status")
    .action(async (options: { json?: boolean }) => {
      const info = await loadEngine();
      printResult(options.json, info, describe(info));
    });

  engine
    .command("install")
    .description("install the native TensorFlow library, or say why that cannot be done here")
    .option("--json", "one JSON document on stdout")
    .addHelpText(
      "after",
      "\nFetches TensorFlow's wheel with your own pip (its index, proxy and certificates count), checks its SHA-256 and" +
        "\ncompiles the addon. Without Python or a compiler WebAssembly stays in use.\n\nExample: allulook engine install",
    )
    .action(async (options: { json?: boolean }) => {
      const status = await runSetup();
      const info = await loadEngine();
      printResult(options.json, { ...info, installed: status === 0 }, describe(info));
      if (status !== 0) process.exitCode = 1;
    });

  engine
    .command("bench")
    .description("GFLOP/s of the operations that training consists of")
    .option("--backend <name>", `one of ${BACKENDS.join(", ")}; by default the one in use`)
    .option("--threads <n>", "threads an operation may use (tensorflow only)")
    .option("--seconds <n>", "time for each operation", "1")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook engine bench --threads 2")
    .action(async (options: { backend?: string; threads?: string; seconds: string; json?: boolean }) => {
      const info = await loadEngine({
        ...(options.backend === undefined ? {} : { prefer: parseBackend(options.backend) }),
        ...(options.threads === undefined ? {} : { threads: parsePositive("--threads", options.threads, true) }),
      });
      const speeds = await measureEngine(parsePositive("--seconds", options.seconds, false));
      const rows = speeds.map(
        ({ operation, gflops, ms }) =>
          `  ${operation.padEnd(30)}${gflops.toFixed(1).padStart(8)} GFLOP/s${ms.toFixed(2).padStart(10)} ms`,
      );
      printResult(options.json, { engine: info, speeds }, [describe(info), ...rows].join("\n"));
    });
}

function describe(info: EngineInfo): string {
  const threads = `${info.threads} thread${info.threads === 1 ? "" : "s"} per operation`;
  return `${info.backend}: ${info.version}, ${threads}\n${info.reason}`;
}

/** Set-up does the work, under its lock, and tells what it does on stderr. */
function runSetup(): Promise<number> {
  const setup = fileURLToPath(new URL("../../../bin/setup.mjs", import.meta.url));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [setup, "--engine"], { stdio: ["ignore", 2, 2] });
    child.once("error", (error) => {
      note(String(error));
      resolve(1);
    });
    child.once("close", (status) => resolve(status ?? 1));
  });
}

function parseBackend(name: string): Backend {
  const backend = BACKENDS.find((known) => known === name);
  if (backend === undefined) throw new CodedError("USAGE", `--backend: expected ${BACKENDS.join(", ")}, got "${name}"`);
  return backend;
}

function parsePositive(option: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value) && (!whole || Number.isInteger(value))) return value;
  throw new CodedError("USAGE", `${option}: expected a positive ${whole ? "whole " : ""}number, got "${text}"`);
}
