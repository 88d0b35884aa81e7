/** Signals that come while the engine computes: a terminal that is resized, an orderly stop, a profiler. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "allulook-signals-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("handlers run, and the process computes on", async () => {
  const program = join(import.meta.dirname, "training-steps.mjs");
  const child = spawn(process.execPath, [program, folder, "15"], { stdio: ["ignore", "pipe", "inherit"] });
  let written = "";
  child.stdout.on("data", (bytes: Buffer) => (written += bytes.toString()));
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  const timer = setInterval(() => child.kill("SIGUSR2"), 1);
  try {
    expect(await exit).toEqual([0, null]);
  } finally {
    clearInterval(timer);
    child.kill("SIGKILL");
  }
  expect(written).toMatch(/^ready\n\d+\n$/);
  expect(Number(written.split("\n")[1])).toBeGreaterThan(5);
}, 300_000);
