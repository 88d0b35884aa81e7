import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTextIfAny, removeUnfinished, writeFileDurably } from "../../../shared/node/files.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "files-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("writeFileDurably", () => {
  test("replaces a file whole and leaves nothing else", async () => {
    const file = join(folder, "deep", "a.json");
    await writeFileDurably(file, "first");
    await writeFileDurably(file, "second");
    expect(await readFile(file, "utf8")).toBe("second");
    expect(await readdir(join(folder, "deep"))).toEqual(["a.json"]);
  });

  test("leaves nothing when it fails", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(writeFileDurably(join(folder, "file", "a.json"), "text")).rejects.toMatchObject({ code: "EEXIST" });
    expect(await readdir(folder)).toEqual(["file"]);
  });
});

describe("removeUnfinished", () => {
  test("removes what a killed write left, and only that", async () => {
    await writeFile(join(folder, "a.json"), "whole");
    await writeFile(join(folder, "a.json.0123456789ab.tmp"), "ha");
    await writeFile(join(folder, "notes.tmp"), "somebody's own");
    await removeUnfinished(folder);
    expect((await readdir(folder)).toSorted()).toEqual(["a.json", "notes.tmp"]);
  });

  test("has nothing to do where there is no folder", async () => {
    await expect(removeUnfinished(join(folder, "none"))).resolves.toBeUndefined();
  });
});

test("readTextIfAny answers null only for a file that is missing", async () => {
  await writeFile(join(folder, "a"), "text");
  expect(await readTextIfAny(join(folder, "a"))).toBe("text");
  expect(await readTextIfAny(join(folder, "b"))).toBeNull();
  await expect(readTextIfAny(folder)).rejects.toMatchObject({ code: "EISDIR" });
});
