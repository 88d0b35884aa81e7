/** `allulook coordinator`: runs a federation's coordinator until it is stopped. */
import { resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Command, Option } from "commander";
import pino from "pino";
import { openCoordinator, type RunningCoordinator } from "../../coordinator/main.ts";
import { ERRORS, type ErrorCode } from "../../shared/errors.ts";
import { exitCodeOf, interruptible, note, printResult } from "../output.ts";
import { liveProgress } from "../progress.ts";
import { readFederationConfig } from "../../coordinator/config.ts";

/** How long clients have to fetch the last release with --exit-when-done. */
const LAST_RELEASE_MS = 60_000;

export function register(program: Command): void {
  program
    .command("coordinator")
    .description("run a federation's coordinator; goes on where it stopped, also after a crash")
    .requiredOption("--config <file>", "federation.yaml")
    .option("--exit-when-done", "end when the stop rule is met and the connected clients have the last release")
    .addOption(new Option("--log <level>").choices(["debug", "info", "warn", "error"]).default("warn"))
    .option("--json", "one JSON document on stdout at the end")
    .addHelpText("after", "\nExample: allulook coordinator --config fed/federation.yaml")
    .action(coordinate);
}

async function coordinate(options: {
  config: string;
  exitWhenDone?: boolean;
  log: string;
  json?: boolean;
}): Promise<void> {
  const { config, tolerated } = await readFederationConfig(options.config);
  const progress = liveProgress(config.schedule.rounds);
  const log = pino({ level: options.log }, pino.destination({ dest: 2, sync: true }));
  const running = await openCoordinator(resolve(options.config), log, {
    ...progress.observer,
    listening: (url) =>
      note(
        `federation "${config.federation}" in ${running.folder} listens on ${url}; a round tolerates ${tolerated} dropout${tolerated === 1 ? "" : "s"} in its smallest cohort`,
      ),
  });
  const { coordinator } = running;
  await interruptible(async (signal) => {
    try {
      const interrupted = new Promise<null>((done) =>
        signal.addEventListener("abort", () => done(null), { once: true }),
      );
      const over = coordinator.run();
      const reason = await Promise.race([over, interrupted]);
      if (reason !== null) {
        note(`the federation is over: ${reason.message}`);
        if (Object.hasOwn(ERRORS, reason.code)) process.exitCode = exitCodeOf(reason.code as ErrorCode);
        // Stopped for good by its operator, nobody need find it here later.
        if (options.exitWhenDone === true || reason.code === "STOPPED") await lastReleaseInstalled(running, signal);
        else await interrupted;
      }
    } finally {
      progress.end();
      await running.close();
    }
    const { version, round, completed, phase } = coordinator.status();
    printResult(
      options.json,
      { version, round, completed, phase, folder: running.folder },
      `stopped after round ${round}, version ${version}`,
    );
  });
}

/** Every connected client has the newest version, or had its time. */
async function lastReleaseInstalled({ coordinator }: RunningCoordinator, signal: AbortSignal): Promise<void> {
  const until = Date.now() + LAST_RELEASE_MS;
  while (Date.now() < until && !signal.aborted) {
    const { clients, version } = coordinator.status();
    if (clients.every((client) => !client.connected || client.version >= version)) return;
    await wait(50);
  }
}
