/**
 * Bytes as files under their SHA-256: `FOLDER/aa/bb/<hash>`. A file is written under a temporary name, synced, renamed,
 * and its folder synced, so a hash that is there has all its bytes. Uploads in progress are in `uploads.ts`.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CodedError } from "../../shared/errors.ts";
import { sha256Hex } from "../../shared/ids.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { syncPath } from "../../shared/node/files.ts";
import type { BlobStore } from "./port.ts";

const READ_BYTES = 1 << 20;
/** A temporary file younger than this may belong to a write that is under way. */
const STALE_TEMPORARY_MS = 60 * 60 * 1000;

export class FileBlobs implements BlobStore {
  readonly #folder: string;
  /** When this process last stored, or found, each blob: one that is there already keeps its file's old time. */
  readonly #touched = new Map<string, number>();
  /** Deletions by {@link collect} under way. */
  readonly #dropping = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where a blob's file is or would be. */
  path(hash: Sha256): string {
    return join(this.#folder, hash.slice(0, 2), hash.slice(2, 4), hash);
  }

  async put(bytes: Uint8Array): Promise<Sha256> {
    const hash = createHash("sha256").update(bytes).digest("hex") as Sha256;
    await this.#touch(hash);
    if ((await this.size(hash)) === bytes.length) return hash;
    const temporary = join(this.#folder, "incoming", `${hash}.${randomBytes(6).toString("hex")}.tmp`);
    await mkdir(dirname(temporary), { recursive: true });
    try {
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.adopt(temporary, hash);
    } catch (error) {
      await rm(temporary, { force: true });
      throw storageFailure(error);
    }
    return hash;
  }

  /** Renames a complete, synced file of the same file system to its place; durable when resolved. */
  async adopt(file: string, hash: Sha256): Promise<void> {
    await this.#touch(hash);
    const target = this.path(hash);
    const created = await mkdir(dirname(target), { recursive: true });
    await rename(file, target);
    await syncPath(dirname(target));
    if (created !== undefined) {
      await syncPath(dirname(dirname(target)));
      await syncPath(this.#folder);
    }
  }

  /** From here on it is not collected; resolves once a deletion that had begun is over. */
  async #touch(hash: Sha256): Promise<void> {
    this.#touched.set(hash, Date.now());
    await this.#dropping.get(hash);
  }

  /** Bytes of the blob, or null when there is none. */
  async size(hash: Sha256): Promise<number | null> {
    try {
      return (await stat(this.path(hash))).size;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async has(hash: Sha256): Promise<boolean> {
    return (await this.size(hash)) !== null;
  }

  async get(hash: Sha256): Promise<Uint8Array> {
    const bytes = await readFile(this.path(hash)).catch((error: unknown) => {
      throw missing(error, hash);
    });
    const got = createHash("sha256").update(bytes).digest("hex");
    if (got !== hash) throw corrupt(hash, got);
    return bytes;
  }

  /** In order, in chunks of at most 1 MB; throws STORE_CORRUPT after the last chunk when the whole does not match. */
  async *read(hash: Sha256, memory?: Uint8Array): AsyncIterable<Uint8Array> {
    const file = await this.open(hash);
    try {
      const whole = createHash("sha256");
      // No larger than what is left, and one byte to see that nothing is.
      let left = (await file.stat()).size + 1;
      for (;;) {
        const chunk = memory ?? Buffer.allocUnsafe(Math.max(1, Math.min(READ_BYTES, left)));
        const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
        left -= bytesRead;
        if (bytesRead === 0) break;
        const bytes = chunk.subarray(0, bytesRead);
        whole.update(bytes);
        yield bytes;
      }
      const got = whole.digest("hex");
      if (got !== hash) throw corrupt(hash, got);
    } finally {
      await file.close();
    }
  }

  /** The file for reading a part of it; throws STORE_CORRUPT when there is none. */
  async open(hash: Sha256): Promise<FileHandle> {
    return open(this.path(hash), "r").catch((error: unknown) => {
      throw missing(error, hash);
    });
  }

  async delete(hash: Sha256): Promise<void> {
    await rm(this.path(hash), { force: true });
  }

  /** Every hash that is stored. */
  async *list(): AsyncIterable<Sha256> {
    for (const outer of await folders(this.#folder, /^[0-9a-f]{2}$/)) {
      for (const inner of await folders(outer, /^[0-9a-f]{2}$/)) {
        for (const name of await readdir(inner)) {
          const hash = sha256Hex.safeParse(name);
          if (hash.success) yield hash.data;
        }
      }
    }
  }

  /**
   * Deletes every blob not in `live`, and temporary files that a crash left. A blob younger than `graceMs`, or put again within
   * that time, stays: its event may not be recorded yet. Resolves to the number of files and bytes freed.
   */
  async collect(live: ReadonlySet<string>, graceMs = 60 * 60 * 1000): Promise<{ files: number; bytes: number }> {
    const freed = { files: 0, bytes: 0 };
    const isYoung = (at: number | undefined, ageMs: number) => at !== undefined && Date.now() - at < ageMs;
    for await (const hash of this.list()) {
      const info = live.has(hash) ? null : await stat(this.path(hash)).catch(() => null);
      if (info === null || isYoung(info.mtimeMs, graceMs)) continue;
      // From this check to the deletion nothing else runs: whoever puts the blob now waits, and writes it anew.
      if (isYoung(this.#touched.get(hash), graceMs)) continue;
      const dropped = rm(this.path(hash), { force: true });
      this.#dropping.set(hash, dropped);
      await dropped.finally(() => this.#dropping.delete(hash));
      freed.files += 1;
      freed.bytes += info.size;
    }
    for (const [hash, at] of this.#touched) if (!isYoung(at, graceMs)) this.#touched.delete(hash);
    const incoming = join(this.#folder, "incoming");
    for (const name of await readdir(incoming).catch(() => [])) {
      const path = join(incoming, name);
      const info = await stat(path).catch(() => null);
      if (info === null || isYoung(info.mtimeMs, STALE_TEMPORARY_MS)) continue;
      await rm(path, { force: true });
      freed.files += 1;
      freed.bytes += info.size;
    }
    return freed;
  }
}

/** STORE_FULL for a full disk or quota; every other error as it is. */
export function storageFailure(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new CodedError("STORE_FULL", "the disk of the data folder is full", { errno: code }, { cause: error });
  }
  return error;
}

async function folders(parent: string, pattern: RegExp): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  return entries.filter((e) => e.isDirectory() && pattern.test(e.name)).map((e) => join(parent, e.name));
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === "ENOENT";
}

function missing(error: unknown, hash: Sha256): unknown {
  return isMissing(error) ? new CodedError("STORE_CORRUPT", `blob ${hash} is missing`, { hash }) : error;
}

function corrupt(hash: Sha256, got: string): CodedError {
  return new CodedError("STORE_CORRUPT", `blob ${hash} does not match its hash`, { expected: hash, got });
}
