/** The site's own copies of sessions, `state/transcripts/NNNN-PURPOSE-ATTEMPT.json`: kept for good. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { canonicalJson } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { comparePlaces, placeNamed, transcriptName, type Place } from "../../shared/secagg/transcript.ts";
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
  const copies: SiteCopy[] = [];
  for (const { file } of await filesIn(folder)) copies.push(await read(file));
  return copies;
}

/**
 * How the newest session ended whose end this site was told of. Copies are read from the newest backwards, and no further
 * than that: there are as many as there were sessions. Throws STORE_CORRUPT.
 */
export async function toldLast(folder: string): Promise<Told | null> {
  for (const { file, place } of (await filesIn(folder)).toReversed()) {
    const digest = (await read(file)).ended?.transcriptDigest ?? null;
    if (digest !== null) return { place, digest };
  }
  return null;
}

/**
 * The newest session that this site revealed shares in, unless it was told the end of it or of a later one; null: none. Throws
 * STORE_CORRUPT.
 */
export async function revealedLast(folder: string): Promise<Place | null> {
  for (const { file, place } of (await filesIn(folder)).toReversed()) {
    const { ended, own } = await read(file);
    if ((ended?.transcriptDigest ?? null) !== null) return null;
    if (own.some(({ step }) => step === "unmask")) return place;
  }
  return null;
}

/** The files in a folder, by the sessions that they are named after. */
async function filesIn(folder: string): Promise<{ readonly file: string; readonly place: Place }[]> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    // What cannot be read is not nothing: a site that forgets what it was told takes any story.
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const names = found.filter((name) => name.endsWith(".json"));
  const files = names.map((name) => {
    const file = join(folder, name);
    const place = placeNamed(basename(name, ".json"));
    if (place === null) throw noCopy(file);
    return { file, place };
  });
  return files.toSorted((a, b) => comparePlaces(a.place, b.place));
}

async function read(file: string): Promise<SiteCopy> {
  const text = await readFile(file, "utf8");
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Refused below.
  }
  const parsed = siteCopy.safeParse(value);
  const named = parsed.success && `${transcriptName(parsed.data.invitation.session)}.json` === basename(file);
  if (named) return parsed.data;
  throw noCopy(file);
}

function noCopy(file: string): CodedError {
  return new CodedError("STORE_CORRUPT", `${file} is no copy of the session that it is named after`, { file });
}
