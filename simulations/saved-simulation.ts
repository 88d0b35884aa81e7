/**
 * A simulated federation between two of its rounds, in a file: what its coordinator would have on disk, and the keys of
 * all. Another process goes on from it to the same bits.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { deserialize, serialize } from "node:v8";
import type { PersonalEntry } from "../client/model-cache/personal.ts";
import type { SavedStore } from "../coordinator/store/memory.ts";
import { CodedError } from "../shared/errors.ts";
import type { ClientName, Sha256 } from "../shared/ids.ts";
import { writeFileDurably } from "../shared/node/files.ts";

/** 32 bytes for each key pair. They protect nobody: all parties are one process. */
export interface Seeds {
  readonly coordinator: Uint8Array;
  readonly authority: Uint8Array;
  readonly clients: ReadonlyMap<ClientName, Uint8Array>;
}

export interface SavedSimulation {
  readonly seeds: Seeds;
  readonly store: SavedStore;
  readonly blobs: readonly (readonly [Sha256, Uint8Array])[];
  /** What each client keeps for itself, by round. */
  readonly personal: ReadonlyMap<ClientName, readonly PersonalEntry[]>;
}

const HASH_BYTES = 32;
const hashOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

/** Writes the file durably: its SHA-256, then the state. */
export async function writeSaved(path: string, saved: SavedSimulation): Promise<void> {
  const body = serialize(saved);
  await writeFileDurably(path, Buffer.concat([hashOf(body), body]));
}

/** Throws STORE_CORRUPT for a file that is damaged or gone. */
export async function readSaved(path: string): Promise<SavedSimulation> {
  const file = await readFile(path).catch((cause: unknown) => {
    throw new CodedError("STORE_CORRUPT", `${path} cannot be read`, { file: path }, { cause });
  });
  const body = file.subarray(HASH_BYTES);
  if (!hashOf(body).equals(file.subarray(0, HASH_BYTES))) {
    throw new CodedError("STORE_CORRUPT", `${path} is damaged`, { file: path });
  }
  return deserialize(body) as SavedSimulation;
}
