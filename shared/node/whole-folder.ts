/** Folders written so that a reader sees all of one or nothing. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { syncPath, writeFileDurably } from "./files.ts";

type Entry = readonly [path: string, bytes: Uint8Array];

/** Writes `files` (by path in the folder), replacing what lies there; removes what a killed writer left beside it. */
export async function writeWholeFolder(
  folder: string,
  files: Iterable<Entry> | AsyncIterable<Entry>,
  mode?: number,
): Promise<void> {
  const parent = dirname(resolve(folder));
  const prefix = `.${basename(folder)}.`;
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true });
  }
  const temporary = join(parent, `${prefix}${randomBytes(6).toString("hex")}.tmp`);
  for await (const [path, bytes] of files) await writeFileDurably(join(temporary, path), bytes, mode);
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
  await syncPath(parent);
}
