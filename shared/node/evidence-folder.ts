/** Folders of evidence (`coordinator/round/evidence.ts`) on disk: each whole or not there, old ones removed. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileDurably } from "./files.ts";

/**
 * Writes `files` as `PARENT/NAME` and keeps the `rounds` newest rounds. One that is there already stays as it is: what it
 * was made of may be gone.
 */
export async function keepEvidence(
  parent: string,
  name: string,
  files: () => AsyncIterable<readonly [path: string, bytes: Uint8Array]>,
  rounds: number,
): Promise<void> {
  const folder = join(parent, name);
  const exists = await stat(folder).catch(() => null);
  if (exists === null) {
    await mkdir(parent, { recursive: true });
    for (const other of await readdir(parent)) {
      if (other.startsWith(".")) await rm(join(parent, other), { recursive: true, force: true });
    }
    const temporary = join(parent, `.${name}.${randomBytes(6).toString("hex")}.tmp`);
    for await (const [path, bytes] of files()) await writeFileDurably(join(temporary, path), bytes);
    await rename(temporary, folder);
  }
  const oldest = Number.parseInt(name, 10) - rounds;
  for (const other of await readdir(parent)) {
    if (/^\d/.test(other) && Number.parseInt(other, 10) <= oldest) {
      await rm(join(parent, other), { recursive: true, force: true });
    }
  }
}
