/**
 * An audit log as a file that several processes may append to, one at a time. A line is on disk before `append`
 * resolves; what a crash left of a last line is cut off and said.
 */
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { checkpoint, hashOfLine, lineOf, NOTHING_BEFORE, type Act, type Audit, auditEntry } from "../audit/entry.ts";
import { CodedError, isCoded } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import type { SigningKey } from "../secagg/crypto-port.ts";
import { syncPath } from "./files.ts";
import { lockFolder } from "./lock.ts";

/** Longest wait for another process that appends. */
const PATIENCE_MS = 10_000;
const POLL_MS = 20;
/** Enough for the longest line: a cohort's names. */
const TAIL_BYTES = 1 << 20;

interface Tail {
  readonly n: number;
  readonly hash: Sha256;
  /** Bytes after the last line end. */
  readonly torn: number;
  readonly size: number;
}

export class AuditFile {
  readonly path: string;
  readonly #now: () => number;
  #queue: Promise<void> = Promise.resolve();

  constructor(path: string, now: () => number = Date.now) {
    this.path = path;
    this.#now = now;
  }

  /** Throws STORE_CORRUPT when the last line is none of an audit log; AUDIT_BUSY while another process keeps it busy. */
  readonly append: Audit = (...acts) => this.#inTurn(async (file, tail) => this.#write(file, tail, acts));

  /** A checkpoint that covers everything before it, behind these acts. */
  sign(key: SigningKey, ...acts: readonly Act[]): Promise<void> {
    return this.#inTurn(async (file, tail) => {
      const after = await this.#write(file, tail, acts);
      await this.#write(file, after, [checkpoint(key, after.n + 1, after.hash)]);
    });
  }

  #inTurn(work: (file: FileHandle, tail: Tail) => Promise<unknown>): Promise<void> {
    const result = this.#queue.then(async () => {
      await mkdir(dirname(this.path), { recursive: true });
      const unlock = await this.#lock();
      try {
        const file = await open(this.path, "a+", 0o600);
        try {
          await work(file, await this.#mended(file));
          await file.datasync();
        } finally {
          await file.close();
        }
      } finally {
        await unlock();
      }
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #write(file: FileHandle, tail: Tail, acts: readonly Act[]): Promise<Tail> {
    if (acts.length === 0) return tail;
    let { n, hash } = tail;
    const at = new Date(this.#now()).toISOString();
    const lines = acts.map((act) => {
      const line = lineOf(++n, at, act, hash);
      hash = hashOfLine(line);
      return `${line}\n`;
    });
    const text = lines.join("");
    await file.appendFile(text);
    return { n, hash, torn: 0, size: tail.size + Buffer.byteLength(text) };
  }

  async #mended(file: FileHandle): Promise<Tail> {
    const tail = await this.#tail(file);
    if (tail.torn === 0) {
      if (tail.size === 0) await syncPath(dirname(this.path));
      return tail;
    }
    await file.truncate(tail.size - tail.torn);
    const whole = { ...tail, torn: 0, size: tail.size - tail.torn };
    return this.#write(file, whole, [{ act: "log repaired", facts: { bytesCutOff: tail.torn } }]);
  }

  async #tail(file: FileHandle): Promise<Tail> {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await file.read(bytes, 0, bytes.length, size - bytes.length);
    const end = bytes.lastIndexOf(10) + 1;
    const torn = bytes.length - end;
    if (end === 0) return { n: 0, hash: NOTHING_BEFORE, torn, size };
    const line = bytes.subarray(bytes.subarray(0, end - 1).lastIndexOf(10) + 1, end - 1).toString("utf8");
    try {
      return { n: auditEntry.parse(JSON.parse(line)).n, hash: hashOfLine(line), torn, size };
    } catch {
      throw new CodedError("STORE_CORRUPT", `${this.path}: the last line is no entry of an audit log`, {
        file: this.path,
      });
    }
  }

  async #lock(): Promise<() => Promise<void>> {
    for (let waited = 0; ; waited += POLL_MS) {
      try {
        return await lockFolder(`${this.path}.lock`, "AUDIT_BUSY");
      } catch (error) {
        if (!isCoded(error, "AUDIT_BUSY") || waited >= PATIENCE_MS) throw error;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    }
  }
}
