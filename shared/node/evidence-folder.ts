/** Folders of evidence (`coordinator/round/evidence.ts`) on disk: each whole or not there, old ones removed. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeWholeFolder } from "./whole-folder.ts";

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
  // Of a trusted coordinator it holds what opens single updates.
  if (exists === null) await writeWholeFolder(folder, files(), 0o600);
  const oldest = Number.parseInt(name, 10) - rounds;
  for (const other of await readdir(parent)) {
    const round = /^\.?(\d+)/.exec(other)?.[1];
    if (round !== undefined && Number(round) <= oldest) await rm(join(parent, other), { recursive: true, force: true });
  }
}
