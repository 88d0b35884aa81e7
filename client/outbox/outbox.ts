/**
 * The outbox: a record, on this site's disk, of everything that ever left it. Append-only; an entry is on disk before
 * its bytes are sent, so the list may hold something that was not sent after all, never the other way round. Two
 * things are listed in sum: heartbeats, when they begin and how many there were; and a connection, once it stands, for
 * the proof of identity that makes it and the requests by which versions are downloaded over it.
 */
import { createHash } from "node:crypto";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { purpose, sha256Hex, type Sha256 } from "../../shared/ids.ts";
import { readTextIfAny, syncPath } from "../../shared/node/files.ts";

const outboxEntry = z.strictObject({
  /** ISO 8601, UTC. */
  at: z.string(),
  /** What it was: "join", "connection", "ready", "step advertise-keys", "masked vector", "boxed vector", "heartbeats", ... */
  kind: z.string().max(64),
  /** Length of what is sent, before encryption in transit; null where only the sum of many is known, later or never. */
  bytes: z.int().min(0).nullable(),
  /** Hash of exactly these bytes; null where `count` messages are summed up. */
  sha256: sha256Hex.nullable(),
  /** Messages this entry stands for, where it is more than one. */
  count: z.int().min(0).optional(),
  session: z.strictObject({ sid: sha256Hex, purpose, round: z.int().min(0), attempt: z.int().min(0) }).nullable(),
  /** The approved plan (config hash) under which it left; null before any approval. */
  approval: sha256Hex.nullable(),
});
export type OutboxEntry = z.infer<typeof outboxEntry>;

export interface Outbox {
  /** Resolves when the entry is durable. Where nothing is recorded, the entry is not even made. */
  record(entry: () => Omit<OutboxEntry, "at">): Promise<void>;
  close(): Promise<void>;
}

/** Entries wait for the running sync and go to disk together with the next. */
export class FileOutbox implements Outbox {
  readonly #path: string;
  readonly #now: () => number;
  #file: FileHandle | null = null;
  #waiting: { line: string; done: () => void; failed: (error: unknown) => void }[] = [];
  #busy = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
  }

  record(entry: () => Omit<OutboxEntry, "at">): Promise<void> {
    const line = `${JSON.stringify({ at: new Date(this.#now()).toISOString(), ...entry() })}\n`;
    return new Promise((done, failed) => {
      this.#waiting.push({ line, done, failed });
      if (!this.#busy) this.#writing = this.#drain();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = null;
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        this.#file ??= await openForAppending(this.#path);
        await this.#file.appendFile(batch.map(({ line }) => line).join(""));
        await this.#file.datasync();
        for (const { done } of batch) done();
      } catch (error) {
        // Opened again, the file loses what of the batch may have reached it.
        await this.#file?.close().catch(() => undefined);
        this.#file = null;
        for (const { failed } of batch) failed(error);
      }
    }
    // In the same turn as the last look: an entry that comes now begins anew.
    this.#busy = false;
  }
}

/** One entry outside any session, as joining sends it. */
export async function recordAlone(path: string, kind: string, bytes: Uint8Array): Promise<void> {
  const outbox = new FileOutbox(path);
  const sha256 = createHash("sha256").update(bytes).digest("hex") as Sha256;
  await outbox.record(() => ({ kind, bytes: bytes.length, sha256, session: null, approval: null }));
  await outbox.close();
}

/** For simulations: the data never leaves the process, so there is nothing to record. */
export const NO_OUTBOX: Outbox = { record: async () => {}, close: async () => {} };

/** All entries in order; a last line cut by a power failure was never sent and is left out. */
export async function readOutbox(path: string): Promise<OutboxEntry[]> {
  const text = await readTextIfAny(path);
  if (text === null) return [];
  const lines = text.split("\n");
  lines.pop();
  return lines
    .filter((line) => line !== "")
    .map((line, index) => {
      const parsed = outboxEntry.safeParse(jsonOrNull(line));
      if (parsed.success) return parsed.data;
      throw new CodedError("STORE_CORRUPT", `${path}: line ${index + 1} is not an outbox entry`, {
        file: path,
        line: index + 1,
      });
    });
}

async function openForAppending(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+", 0o600);
  const { size } = await file.stat();
  const tail = new Uint8Array(Math.min(size, 65_536));
  await file.read(tail, 0, tail.length, size - tail.length);
  const whole = tail.lastIndexOf(10) + 1;
  // What follows the last line end was cut by a power failure before it was sent.
  if (whole < tail.length) await file.truncate(size - tail.length + whole);
  await syncPath(dirname(path));
  return file;
}

function jsonOrNull(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
