/** Durable small files: a reader sees the old content or the new one, never a part. */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomBytes } from "node:crypto";

const UNFINISHED = /\.[0-9a-f]{12}\.tmp$/;

/** Writes and syncs a temporary file beside `path`, renames it, syncs the folder. `mode` as in chmod. */
export async function writeFileDurably(path: string, data: string | Uint8Array, mode = 0o644): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx", mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(folder);
}

/** Makes durable what a file holds, or which names a folder has. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what writes of a killed process left in `folder`; nobody may be writing there. No such folder: nothing. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(ifMissing([] as string[])))
    if (UNFINISHED.test(name)) await rm(join(folder, name), { force: true });
}

/** The file's text, or null when there is none. */
export async function readTextIfAny(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(ifMissing(null));
}

/** For a rejected file operation: `value` where there is no such file, else the error. */
function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw error;
  };
}
