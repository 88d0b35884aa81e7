import { spawn } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "@jest/globals";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "allulook-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Takes the lock, adds one to a number in a file in a way that loses counts if two do it at once, and lets go. */
const SCRIPT = `
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
const [module, folder] = process.argv.slice(1);
const { lockFolder } = await import(module);
const { release } = await lockFolder(folder, "test.lock", () => {});
const count = Number(readFileSync(folder + "/count", "utf8"));
await sleep(30);
writeFileSync(folder + "/count", String(count + 1));
release();
`;

function contend(): Promise<number | null> {
  const module = pathToFileURL(fileURLToPath(new URL("../../bin/setup-lock.mjs", import.meta.url))).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", SCRIPT, module, folder], { stdio: "inherit" });
  return new Promise((resolve) => child.once("close", resolve));
}

test.each([
  ["nobody holds the lock", null],
  ["a dead process left it behind", "999999999"],
])("one after the other when %s", async (_what, holder) => {
  await writeFile(join(folder, "count"), "0");
  if (holder !== null) await writeFile(join(folder, "test.lock"), holder);
  expect(await Promise.all(Array.from({ length: 6 }, contend))).toEqual([0, 0, 0, 0, 0, 0]);
  expect(await readFile(join(folder, "count"), "utf8")).toBe("6");
  expect(await readdir(folder)).toEqual(["count"]);
});

test("lasts until the program that its dead holder started has ended", async () => {
  await writeFile(join(folder, "count"), "0");
  const program = spawn(process.execPath, ["-e", "setTimeout(() => {}, 1000)"]);
  await writeFile(join(folder, "test.lock"), `999999999 ${program.pid}`);
  let ended = false;
  program.once("exit", () => (ended = true));
  expect(await contend()).toBe(0);
  expect(ended).toBe(true);
});
