/** `allulook outbox`: everything that ever left this site. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { readOutbox, type OutboxEntry } from "../../client/outbox/outbox.ts";
import { readIdentity, sitePaths } from "../../client/site-folder.ts";
import { printResult } from "../output.ts";

export function register(program: Command): void {
  program
    .command("outbox")
    .description(
      "everything that ever left this site: when, what kind, how many bytes, which hash, under which approval",
    )
    .option("--data <dir>", "the site folder", ".")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample: allulook outbox --data ./hospital-a")
    .action(show);
}

async function show(options: { data: string; json?: boolean }): Promise<void> {
  const paths = sitePaths(resolve(options.data));
  const entries = await readOutbox(paths.outbox);
  // "Nothing has left" must never be said of a folder that is no site's.
  if (entries.length === 0) await readIdentity(paths);
  const bytes = entries.reduce((total, entry) => total + (entry.bytes ?? 0), 0);
  const lines = entries.map((entry) => line(entry));
  const sum = `${entries.length} entries, ${bytes} bytes in all`;
  printResult(options.json, { entries, bytes }, [...lines, sum].join("\n"));
}

function line({ at, kind, count, bytes, sha256, session, approval }: OutboxEntry): string {
  return [
    at,
    kind.padEnd(20),
    `${bytes ?? "-"} bytes`.padStart(16),
    count === undefined ? `sha256 ${sha256?.slice(0, 16) ?? "-"}` : `${count} messages`,
    session === null ? "-" : `${session.purpose} round ${session.round} attempt ${session.attempt}`,
    approval === null ? "before any approval" : `plan ${approval.slice(0, 8)}`,
  ].join("  ");
}
