/** Release folders on disk: old ones removed, and read for `verifyRelease`. */
import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { ReleaseFolder } from "../release/verify.ts";

/** Removes the releases below `parent` whose version is not to be kept; each goes as a whole, also if this is killed. */
export async function pruneReleases(parent: string, keep: (version: number) => boolean): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const removed = /^\.\d+\.[0-9a-f]+\.old$/.test(name);
    if (!removed && (!/^\d+$/.test(name) || keep(Number(name)))) continue;
    const aside = removed ? name : `.${name}.${randomBytes(6).toString("hex")}.old`;
    if (!removed) await rename(join(parent, name), join(parent, aside));
    await rm(join(parent, aside), { recursive: true, force: true });
  }
}

/** The release in `folder`. */
export function folderOnDisk(folder: string): ReleaseFolder {
  return {
    async read(path) {
      try {
        return await readFile(join(folder, path));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "ENOENT" || code === "ENOTDIR") return null;
        throw error;
      }
    },
    async list() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
    },
  };
}

/** Releases beside this one, as `simulate` and the coordinator write them: folders named by their version. */
export function neighboursOnDisk(folder: string): (version: number) => Promise<ReleaseFolder | null> {
  const parent = dirname(resolve(folder));
  return async (version) => {
    const path = join(parent, String(version));
    const found = await stat(path).catch(() => null);
    return found?.isDirectory() === true ? folderOnDisk(path) : null;
  };
}
