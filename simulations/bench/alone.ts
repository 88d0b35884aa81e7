/** Runs one benchmark in a process of its own, whose memory and engine nobody else has used. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** @returns its figures, or `error` with what it wrote */
export function runAlone(name: string): Record<string, unknown> {
  const child = fileURLToPath(new URL("./child.js", import.meta.url));
  const run = spawnSync(process.execPath, ["--no-warnings", child, name], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 26,
  });
  const line = run.stdout.trimEnd().split("\n").at(-1) ?? "";
  return run.status === 0 ? (JSON.parse(line) as Record<string, unknown>) : { error: run.stderr.slice(-2_000) };
}
