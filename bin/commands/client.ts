/** `allulook client`: takes part in a federation until stopped. */
import type { Command } from "commander";
import { createClient } from "../../client/main.ts";
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
  const client = await createClient(options.data);
  const stop = (signal: NodeJS.Signals) => {
    note(`${signal}: leaving`);
    void client.stop();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const reason = await client.finished;
    printResult(options.json, { ended: reason }, `The client has ended: ${reason}`);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    await client.stop();
  }
}
