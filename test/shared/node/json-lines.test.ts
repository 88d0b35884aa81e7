import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { appendFile, mkdtemp, open, readFile, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { openJsonLines } from "../../../shared/node/json-lines.ts";

const entry = z.strictObject({ at: z.int(), who: z.string() });
const line = (at: number) => ({ at, who: "Lübeck" });
const openLines = () => openJsonLines(path, entry, "line of a test");

let folder: string;
let path: string;
let handles: FileHandle;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "json-lines-"));
  path = join(folder, "log.jsonl");
  const any = await open(join(folder, "any"), "w");
  handles = Object.getPrototypeOf(any) as FileHandle;
  await any.close();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const full = () => Object.assign(new Error("no space left on device"), { code: "ENOSPC" });

/** The next append writes so many bytes of its line before the disk is full. */
function fullAfter(bytes: number): void {
  jest.spyOn(handles, "appendFile").mockImplementationOnce(async (data) => {
    await appendFile(path, Buffer.from(data as string).subarray(0, bytes));
    throw full();
  });
}

test("keeps what was appended, and drops a line torn by a crash", async () => {
  const lines = await openLines();
  await lines.append(line(1));
  await lines.append(line(2));
  await appendFile(path, '{"at":3,"wh');
  expect((await openLines()).entries()).toEqual([line(1), line(2)]);
  await appendFile(path, "no JSON\n");
  await expect(openLines()).rejects.toMatchObject({ code: "STORE_CORRUPT", details: { line: 3 } });
});

test("an append that failed half way leaves nothing in those that follow", async () => {
  await (await openLines()).append(line(1));
  const lines = await openLines();
  for (const bytes of [0, 9, 1_000]) {
    fullAfter(bytes);
    await expect(lines.append(line(2))).rejects.toMatchObject({ code: "ENOSPC" });
  }
  await lines.append(line(3));
  expect(lines.entries()).toEqual([line(1), line(3)]);
  expect((await openLines()).entries()).toEqual([line(1), line(3)]);
});

test("nothing is appended while what is left of a failed one cannot be taken away", async () => {
  const lines = await openLines();
  await lines.append(line(1));
  fullAfter(9);
  await expect(lines.append(line(2))).rejects.toMatchObject({ code: "ENOSPC" });
  const torn = await readFile(path, "utf8");
  jest.spyOn(handles, "truncate").mockRejectedValueOnce(full());
  await expect(lines.append(line(3))).rejects.toMatchObject({ code: "ENOSPC" });
  expect(await readFile(path, "utf8")).toBe(torn);
  await lines.append(line(4));
  expect((await openLines()).entries()).toEqual([line(1), line(4)]);
});
