import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { baseFile } from "../../../client/model-cache/base.ts";
import { CodedError } from "../../../shared/errors.ts";
import type { Sha256 } from "../../../shared/ids.ts";

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);
const REF = { sha256: bytesToHex(sha256(BYTES)) as Sha256, bytes: BYTES.length };
const never = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "base-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Fails as often as there are failures, then answers. */
function transport(...failures: Error[]) {
  const asked: string[] = [];
  const download = async (ref: { sha256: string }) => {
    asked.push(ref.sha256);
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    return BYTES;
  };
  return { asked, download };
}

test("is fetched once, and again when the file is damaged", async () => {
  const line = transport();
  const path = await baseFile(folder, REF, line, never);
  expect(await readFile(path)).toEqual(Buffer.from(BYTES));
  expect(await baseFile(folder, REF, line, never)).toBe(path);
  expect(line.asked).toEqual([REF.sha256]);
  await writeFile(path, BYTES.subarray(1));
  await baseFile(folder, REF, line, never);
  expect(line.asked).toHaveLength(2);
  expect(await readFile(path)).toEqual(Buffer.from(BYTES));
});

test("is asked for again after a lost connection; any other refusal is told", async () => {
  const line = transport(new CodedError("DISCONNECTED", "cut"));
  await baseFile(folder, REF, line, never);
  expect(line.asked).toHaveLength(2);
  await rm(folder, { recursive: true });
  const refused = transport(new CodedError("WIRE_HASH", "other bytes"));
  await expect(baseFile(folder, REF, refused, never)).rejects.toMatchObject({ code: "WIRE_HASH" });
});

test("waits no longer than it is wanted", async () => {
  const stopping = new AbortController();
  const download = async () => {
    stopping.abort(new CodedError("ATTEMPT_OVER", "the client stops"));
    throw new CodedError("DISCONNECTED", "cut");
  };
  await expect(baseFile(folder, REF, { download }, stopping.signal)).rejects.toMatchObject({ code: "ATTEMPT_OVER" });
});
