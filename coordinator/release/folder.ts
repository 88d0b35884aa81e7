/** Writes a release folder so that a reader sees all of it or nothing. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileDurably } from "../../shared/node/files.ts";
import { MANIFEST_PATH } from "../../shared/release/manifest.ts";

/** Writes `files` (by path in the folder) and the manifest to `folder`, replacing what a killed process left there. */
export async function writeReleaseFolder(
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  manifest: Uint8Array,
): Promise<void> {
  const parent = dirname(folder);
  const prefix = `.${basename(folder)}.`;
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true });
  }
  const temporary = join(parent, `${prefix}${randomBytes(6).toString("hex")}.tmp`);
  for (const [path, bytes] of [...files, [MANIFEST_PATH, manifest] as const]) {
    await writeFileDurably(join(temporary, path), bytes);
  }
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
}
