/** The site's own copies of sessions, `state/transcripts/NNNN-PURPOSE-ATTEMPT.json`: kept for good, and read again at start. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { comparePlaces, transcriptName } from "../../shared/secagg/transcript.ts";
import { siteCopy, type SiteCopy } from "../../shared/transcript/copy.ts";
import type { Told } from "./ports.ts";

/** Durable when resolved; a later copy of the same session takes the place of an earlier one. */
export function copyKeeper(folder: string): (copy: SiteCopy) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (copy) => {
    const path = join(folder, `${transcriptName(copy.invitation.session)}.json`);
    const written = last.then(() => writeFileDurably(path, canonicalJson(copy), 0o600));
    last = written.catch(() => undefined);
    return written;
  };
}

/** All copies in a folder, in the order of the sessions; none where there is no such folder. Throws STORE_CORRUPT. */
export async function readCopies(folder: string): Promise<SiteCopy[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json"));
  const copies: SiteCopy[] = [];
  for (const name of names) copies.push(parse(join(folder, name), await readFile(join(folder, name), "utf8")));
  return copies.toSorted((a, b) => comparePlaces(a.invitation.session, b.invitation.session));
}

/** How the newest session ended whose end this site was told of. */
export async function toldLast(folder: string): Promise<Told | null> {
  for (const { ended, invitation } of (await readCopies(folder)).toReversed()) {
    const { purpose, round, attempt } = invitation.session;
    const digest = ended?.transcriptDigest ?? null;
    if (digest !== null) return { place: { purpose, round, attempt }, digest };
  }
  return null;
}

function parse(file: string, text: string): SiteCopy {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Refused below.
  }
  const parsed = siteCopy.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CodedError("STORE_CORRUPT", `${file} is no copy of a session`, { file });
}
