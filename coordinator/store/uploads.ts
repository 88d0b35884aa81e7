/**
 * Uploads in progress: one partial file per client, session and hash. Its size is the offset to resume from, also
 * after a crash; the hash runs while bytes arrive, and is taken again from the file after a restart. Complete means:
 * hash checked, synced, renamed into the blobs.
 */
import { createHash, type Hash } from "node:crypto";
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { basename, join } from "node:path";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import { storageFailure, type FileBlobs } from "./blobs.ts";

/** Small pieces from the socket are gathered into writes of this size. */
const WRITE_BYTES = 1 << 20;
/** After this many bytes the disk is asked to begin writing, so that the last sync is short. */
const SYNC_EVERY_BYTES = 16 << 20;
/** Pieces kept between hashing and writing; the sender waits beyond. */
const WRITES_UNDER_WAY = 2;

/** Uploads that one client may have begun in one session; an honest one has one. */
const BEGUN_AT_MOST = 2;

interface Progress {
  hash: Hash;
  offset: number;
  /** The connection that is sending; null between two. */
  turn: Turn | null;
}

interface Turn {
  /** Ends it, also where nothing comes from its source any more. */
  readonly replaced: AbortController;
  /** Resolved once it has written what it had. */
  readonly over: Promise<void>;
}

export interface UploadKey {
  readonly client: ClientName;
  readonly sid: Sha256;
  readonly hash: Sha256;
}

export class Uploads {
  readonly #folder: string;
  readonly #blobs: FileBlobs;
  readonly #progress = new Map<string, Progress>();

  /** `folder` must be on the same file system as the blobs. */
  constructor(folder: string, blobs: FileBlobs) {
    this.#folder = folder;
    this.#blobs = blobs;
  }

  #file(key: UploadKey): string {
    return join(this.#folder, `${key.client}.${key.sid}.${key.hash}.part`);
  }

  /** Bytes held so far; `complete` once the blob is stored. */
  async offset(key: UploadKey): Promise<{ offset: number; complete: boolean }> {
    const stored = await this.#blobs.size(key.hash);
    if (stored !== null) return { offset: stored, complete: true };
    const size = await stat(this.#file(key)).then(
      (info) => info.size,
      () => 0,
    );
    return { offset: size, complete: false };
  }

  /**
   * Takes the bytes from `offset` on and resolves when they are held; `complete` when they were the last of `length`
   * and the blob is durable. Throws UPLOAD_OFFSET (details.offset: where to go on), WIRE_OVERSIZE, WIRE_HASH (the
   * partial file is thrown away), UPLOAD_REFUSED (too many begun), STORE_FULL. Bytes that arrived before the source failed are kept.
   * A later call takes over from one under way, which may be a connection that was lost without a word: that one fails
   * with UPLOAD_OFFSET.
   */
  async receive(
    key: UploadKey,
    length: number,
    offset: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<{ offset: number; complete: boolean }> {
    if ((await this.#blobs.size(key.hash)) === length) return { offset: length, complete: true };
    const path = this.#file(key);
    for (let turn = this.#turn(path); turn !== null; turn = this.#turn(path)) {
      turn.replaced.abort(new CodedError("UPLOAD_OFFSET", "another connection sends this upload", { offset: null }));
      await turn.over;
      if ((await this.#blobs.size(key.hash)) === length) return { offset: length, complete: true };
    }
    // Taken before the next await, so that two requests cannot both pass.
    const known = this.#progress.get(path);
    const progress: Progress = known ?? { hash: createHash("sha256"), offset: -1, turn: null };
    const replaced = new AbortController();
    let end = (): void => {};
    progress.turn = { replaced, over: new Promise((resolve) => (end = resolve)) };
    this.#progress.set(path, progress);
    let file: FileHandle | null = null;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      if (known === undefined) await this.#checkBegun(key);
      file = await open(path, "a+", 0o600);
      const { size } = await file.stat();
      if (progress.offset !== size) await rehash(progress, file, size);
      if (progress.offset !== offset) {
        throw new CodedError("UPLOAD_OFFSET", `expected offset ${progress.offset}, got ${offset}`, {
          offset: progress.offset,
        });
      }
      await append(progress, file, length, until(replaced.signal, source));
      if (progress.offset < length) return { offset: progress.offset, complete: false };
      const got = progress.hash.digest("hex");
      if (got !== key.hash) {
        throw new CodedError("WIRE_HASH", "the upload does not match its hash", { expected: key.hash, got });
      }
      await file.sync();
      await file.close();
      file = null;
      await this.#blobs.adopt(path, key.hash);
      this.#progress.delete(path);
      return { offset: length, complete: true };
    } catch (error) {
      if (isCoded(error, "UPLOAD_REFUSED")) this.#progress.delete(path);
      else if (error instanceof CodedError && (error.code === "WIRE_HASH" || error.code === "WIRE_OVERSIZE")) {
        this.#progress.delete(path);
        await rm(path, { force: true });
      }
      throw storageFailure(error);
    } finally {
      await file?.close();
      progress.turn = null;
      end();
    }
  }

  #turn(path: string): Turn | null {
    return this.#progress.get(path)?.turn ?? null;
  }

  /** Every upload begun takes room on the disk until it is thrown away. */
  async #checkBegun({ client, sid, hash }: UploadKey): Promise<void> {
    const files = (await readdir(this.#folder)).map((name) => join(this.#folder, name));
    // Those whose file is being made at this moment count, too.
    const begun = new Set([...files, ...this.#progress.keys()]);
    const others = [...begun].filter((path) => {
      const [owner, session, blob] = basename(path).split(".");
      return owner === client && session === sid && blob !== hash;
    });
    if (others.length < BEGUN_AT_MOST) return;
    throw new CodedError("UPLOAD_REFUSED", `${client} has begun ${others.length} other uploads`, { client, sid });
  }

  /** Throws away what was begun and is not expected any more. */
  async discard(expected: (key: UploadKey) => boolean): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const [client, sid, hash] = name.split(".");
      const key = { client, sid, hash } as UploadKey;
      const path = join(this.#folder, name);
      if (this.#turn(path) !== null || expected(key)) continue;
      this.#progress.delete(path);
      await rm(path, { force: true });
    }
  }
}

async function rehash(progress: Progress, file: FileHandle, size: number): Promise<void> {
  progress.hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(WRITE_BYTES);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(WRITE_BYTES, size - at), at);
    if (bytesRead === 0) break;
    progress.hash.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
  progress.offset = at;
}

/** What comes until `signal` is aborted, whose reason is then thrown, though the source keeps silent. */
async function* until<T>(signal: AbortSignal, source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let stop = (): void => {};
  const stopped = new Promise<never>((_, reject) => (stop = () => reject(signal.reason)));
  stopped.catch(() => {}); // who waits for nothing at that moment is told by the check below
  signal.addEventListener("abort", stop);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await Promise.race([iterator.next(), stopped]);
      if (done === true) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    // Not awaited: it waits for a source that may stay silent.
    if (signal.aborted) void iterator.return?.().catch(() => {});
    else await iterator.return?.();
  }
}

/** Hashes and writes at once: while one piece is being written the next is received and hashed. */
async function append(
  progress: Progress,
  file: FileHandle,
  length: number,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  const writes: Promise<void>[] = [];
  let tail: Promise<void> = Promise.resolve();
  let failure: unknown = null;
  let unsynced = 0;
  let pieces: Uint8Array[] = [];
  let gathered = 0;
  let received = progress.offset;

  const flush = () => {
    if (gathered === 0) return;
    const [buffers, bytes] = [pieces, gathered];
    [pieces, gathered] = [[], 0];
    const write = tail.then(async () => {
      if (failure !== null) return;
      try {
        await writeFully(file, buffers, bytes);
        progress.offset += bytes;
        unsynced += bytes;
        if (unsynced >= SYNC_EVERY_BYTES) {
          unsynced = 0;
          await file.datasync();
        }
      } catch (error) {
        failure = error;
      }
    });
    tail = write;
    writes.push(write);
  };

  try {
    for await (const piece of source) {
      received += piece.length;
      if (received > length) {
        throw new CodedError("WIRE_OVERSIZE", `upload is longer than the ${length} bytes announced`, { length });
      }
      progress.hash.update(piece);
      pieces.push(piece);
      gathered += piece.length;
      if (gathered >= WRITE_BYTES) flush();
      if (writes.length > WRITES_UNDER_WAY) await writes.shift();
      if (failure !== null) throw failure;
    }
  } finally {
    flush();
    await tail;
    // What was hashed but not written must be hashed again from the file.
    if (progress.offset !== received) progress.offset = -1;
  }
  if (failure !== null) throw failure;
}

async function writeFully(file: FileHandle, buffers: Uint8Array[], bytes: number): Promise<void> {
  const { bytesWritten } = await file.writev(buffers);
  if (bytesWritten === bytes) return;
  // A short write: a full disk takes what fits, and says so at the next attempt.
  let rest = Buffer.concat(buffers).subarray(bytesWritten);
  while (rest.length > 0) rest = rest.subarray((await file.write(rest)).bytesWritten);
}
