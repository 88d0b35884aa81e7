/**
 * Transcripts where they lie: single files, or a folder with `transcripts/` and, beside it, `evidence/`, `releases/` and
 * `federation.json` (public keys), as coordinators, simulations and `transcript export` write it.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex, type Sha256 } from "../../shared/ids.ts";
import { placeNamed } from "../../shared/secagg/transcript.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import { folderOnDisk } from "../../shared/node/release-folder.ts";
import type { ReleaseFolder } from "../../shared/release/verify.ts";
import { authorityPaths, parseJson } from "../enrol/authority.ts";

/** The federation's public keys; `identity.json` of a site and `authority.json` hold them, too. */
export const KEYS_FILE = "federation.json";
const publicKeys = z.object({
  federationId: sha256Hex,
  /** Ed25519, hex. */
  authorityKey: sha256Hex,
  coordinatorKey: sha256Hex.optional(),
});
export type PublicKeys = z.infer<typeof publicKeys>;

/** A transcript of the largest cohort is far smaller. */
const MOST_BYTES = 2 ** 28;

export interface FoundTranscripts {
  readonly transcripts: ReadonlyMap<string, string>;
  /** What else lay there when the transcripts were read, of a whole folder: each must have its transcript. */
  readonly present: { readonly versions: readonly number[]; readonly evidence: readonly string[] };
  readonly evidence: (name: string) => Promise<ReleaseFolder | null>;
  readonly release: (version: number) => Promise<ReleaseFolder | null>;
  /** What lies beside them says about keys; null: nothing. */
  readonly keys: PublicKeys | null;
}

/** Throws USAGE where there is none; TRANSCRIPT_SPLIT_VIEW for two of one session, TRANSCRIPT_FORMAT for one too large. */
export async function findTranscripts(paths: readonly string[]): Promise<FoundTranscripts> {
  const files: string[] = [];
  let root: string | null = null;
  let present: FoundTranscripts["present"] = { versions: [], evidence: [] };
  for (const path of paths.map((given) => resolve(given))) {
    const info = await stat(path).catch(() => null);
    if (info === null) throw new CodedError("USAGE", `there is no ${path}`, { file: path });
    if (!info.isDirectory()) {
      files.push(path);
      root ??= dirname(dirname(path));
      continue;
    }
    const inner = join(path, "transcripts");
    const nested = (await stat(inner).catch(() => null))?.isDirectory() === true;
    root ??= nested ? path : dirname(path);
    const folder = nested ? inner : path;
    // Before the transcripts: what comes while they are read has its transcript by then, or later.
    if (nested && root === path) present = await besides(path);
    const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
    files.push(...names.toSorted().map((name) => join(folder, name)));
  }
  if (files.length === 0 || root === null) throw new CodedError("USAGE", `${paths.join(", ")}: no transcripts here`);
  const transcripts = new Map<string, string>();
  const read = new Map<string, string>();
  for (const file of files) {
    const name = basename(file, ".json");
    if ((await stat(file)).size > MOST_BYTES) {
      throw new CodedError("TRANSCRIPT_FORMAT", `${file} is larger than any transcript`, { file });
    }
    const text = await readFile(file, "utf8");
    const other = read.get(name);
    if (other !== undefined && transcripts.get(name) !== text) {
      const details = { file, other };
      throw new CodedError("TRANSCRIPT_SPLIT_VIEW", `${other} and ${file} are two transcripts of one session`, details);
    }
    read.set(name, file);
    transcripts.set(name, text);
  }
  const at = root;
  const below = async (...parts: string[]): Promise<ReleaseFolder | null> => {
    const folder = join(at, ...parts);
    const found = await stat(folder).catch(() => null);
    return found?.isDirectory() === true ? folderOnDisk(folder) : null;
  };
  return {
    transcripts,
    present,
    evidence: (name) => below("evidence", name),
    release: (version) => below("releases", String(version)),
    keys: (await keysIn(join(at, KEYS_FILE))) ?? (await keysIn(authorityPaths(join(at, "authority")).public)),
  };
}

async function besides(root: string): Promise<FoundTranscripts["present"]> {
  const names = async (folder: string) => readdir(join(root, folder)).catch((): string[] => []);
  return {
    versions: (await names("releases")).filter((name) => /^\d+$/.test(name)).map(Number),
    evidence: (await names("evidence")).filter((name) => placeNamed(name) !== null),
  };
}

async function keysIn(file: string): Promise<PublicKeys | null> {
  return (await readTextIfAny(file)) === null ? null : readKeysFile(file);
}

/** federation.json, authority.json or a site's identity.json; throws USAGE. */
export async function readKeysFile(file: string): Promise<PublicKeys> {
  const text = await readTextIfAny(file);
  const parsed = text === null ? null : publicKeys.safeParse(parseJson(text, file));
  if (parsed?.success === true) return parsed.data;
  throw new CodedError("USAGE", `${file} holds no keys of a federation`, { file });
}

/** The text of {@link KEYS_FILE}. */
export function keysFileText(keys: {
  readonly federation: string;
  readonly federationId: Sha256;
  readonly authorityKey: Sha256;
  readonly coordinatorKey: Sha256;
}): string {
  return `${JSON.stringify(keys, null, 2)}\n`;
}
