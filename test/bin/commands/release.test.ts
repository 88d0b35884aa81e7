import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { bytesToHex } from "@noble/hashes/utils.js";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register } from "../../../bin/commands/release.ts";
import { publish } from "../../../coordinator/release/publish.ts";
import { key, World } from "../../fakes/release-world.ts";
import { runCommand } from "./run-command.ts";

const KEY = bytesToHex(key.publicKey);
const COUNTS = { cohort: 4, survivors: 4, evaluated: 0, examples: 40 };
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "releases-"));
  const world = new World(5);
  await world.start();
  for (const version of [1, 2]) {
    await world.commitUpTo(version);
    await publish(world.publishContext(root), { version, round: version, counts: COUNTS, evaluation: null });
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));
afterEach(() => {
  process.exitCode = 0;
});

const verify = (...words: string[]) => runCommand(register, "release", "verify", ...words);

test("says in words what was checked, and whose key it is", async () => {
  const { out, code } = await verify(join(root, "2"), "--key", KEY);
  expect(code).toBe(0);
  expect(out).toContain("Release 2 of test (round 2) is intact.");
  expect(out).toContain(`good, by ${KEY}`);
  expect(out).toContain("which is the key you gave");
  expect(out).toContain("rebuilt from keyframe and updates");
  expect(out).toContain("byte for byte what these params give");
});

test("with --json gives one document", async () => {
  const { out, code } = await verify(join(root, "2"), "--json");
  expect([code, JSON.parse(out)]).toMatchObject([
    0,
    { ok: true, version: 2, signedBy: KEY, keyChecked: false, params: "rebuilt", model: "derived", absent: [] },
  ]);
});

test("exit 3 and a coded error for another key and for an altered file", async () => {
  const other = await verify(join(root, "2"), "--key", "0".repeat(64), "--json");
  expect([other.code, JSON.parse(other.out)]).toMatchObject([3, { error: { code: "RELEASE_SIGNATURE" } }]);
  const file = join(root, "1", "model", "weights.bin");
  const bytes = await readFile(file);
  bytes[200] = (bytes[200] as number) ^ 4;
  await writeFile(file, bytes);
  const altered = await verify(join(root, "1"));
  expect([altered.code, altered.out]).toEqual([3, ""]);
  expect(altered.err).toContain("RELEASE_FILE: model/weights.bin was altered");
  // Release 2 is built on release 1.
  expect((await verify(join(root, "2"))).code).toBe(3);
});

test("exit 2 for what is no release folder and for a key that is none", async () => {
  expect((await verify(join(root, "nowhere"))).code).toBe(2);
  expect((await verify(join(root, "2"), "--key", "abc")).code).toBe(2);
  expect((await verify(root)).code).toBe(3);
});
