/** `allulook client`: takes part in a federation until stopped. */
import type { Command } from "commander";
import { consoleLog } from "../../client/console-log.ts";
import { createClient } from "../../client/main.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { note, printResult } from "../output.ts";

export function register(program: Command): void {
  program
    .command("client")
    .description("take part in a federation until it ends or Ctrl-C; reconnects for ever")
    .option("--data <dir>", "the site folder that `allulook join` made", ".")
    .option("--json", "one JSON document on stdout at the end; the log stays on stderr")
    .addHelpText("after", "\nExample: allulook client --data ./hospital-a")
    .action(takePart);
}

async function takePart(options: { data: string; json?: boolean }): Promise<void> {
  const leaving = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    note(`${signal}: leaving`);
    leaving.abort(new CodedError("ATTEMPT_OVER", "stopped by a person"));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const reason = await takePartUntil(options.data, leaving.signal);
    printResult(options.json, { ended: reason }, `The client has ended: ${reason}`);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** Resolves with why it ended. */
async function takePartUntil(folder: string, signal: AbortSignal): Promise<string> {
  try {
    const client = await createClient(folder, consoleLog(), signal);
    const stop = () => void client.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await client.finished;
    } finally {
      await client.stop();
    }
  } catch (error) {
    if (signal.aborted && isCoded(error, "ATTEMPT_OVER")) return "stopped";
    throw error;
  }
}
