/**
 * Masking in threads: the event loop stays free, and the clients of a simulation mask side by side. A vector goes to
 * one thread: as it is where its memory is shared, else piece by piece, so that memory stays bounded. Either way the
 * words are masked in place.
 */
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { bytesOf, inlineMasker, type Mask, type Masker, type Words } from "../secagg/mask.ts";
import { BLOCK_BYTES } from "../secagg/simd.ts";
import { NodeCrypto } from "./crypto.ts";
import type { FromMaskService, Port, ToMaskService } from "./mask-service.ts";

const PIECE_BYTES = 8 * BLOCK_BYTES;
/** Pieces under way to one thread for one vector. */
const PIECES_UNDER_WAY = 3;
/** Shorter vectors are masked faster than they are sent, or than a thread hears of one in shared memory. */
const LEAST_BYTES = 2 * PIECE_BYTES;
const LEAST_SHARED_BYTES = 65_536;

/** Only compiled: where the sources themselves run, as in tests, there is no such file, and vectors are masked where they are. */
const WORKER = new URL("./mask-worker.js", import.meta.url);

/** One end of a masking thread. */
type Service = Port<FromMaskService, ToMaskService>;

interface Job {
  readonly source: Uint8Array;
  sent: number;
  masked: number;
  finish(digest: Uint8Array): void;
  fail(error: unknown): void;
}

export class MaskPool {
  readonly #size: number;
  readonly #crypto = new NodeCrypto();
  readonly #lanes: { readonly worker: Worker; readonly thread: Thread }[] = [];

  /** @param size threads, one per core; they start with the first long vector */
  constructor(size: number) {
    this.#size = existsSync(WORKER) ? size : 0;
  }

  readonly mask: Masker = async (vector, masks) => {
    const least = vector.buffer instanceof SharedArrayBuffer ? LEAST_SHARED_BYTES : LEAST_BYTES;
    if (vector.byteLength < least || this.#size === 0) return inlineMasker(this.#crypto)(vector, masks);
    const { worker, thread } = this.#lane();
    worker.ref();
    try {
      return await thread.mask(vector, masks);
    } finally {
      if (thread.load === 0) worker.unref();
    }
  };

  async close(): Promise<void> {
    await Promise.all(this.#lanes.splice(0).map(({ worker }) => worker.terminate()));
  }

  /** The thread with the least to do. */
  #lane(): { worker: Worker; thread: Thread } {
    const [idlest] = this.#lanes.toSorted((a, b) => a.thread.load - b.thread.load);
    if (idlest && (idlest.thread.load === 0 || this.#lanes.length === this.#size)) return idlest;
    const worker = new Worker(WORKER);
    const lane = { worker, thread: new Thread(worker) };
    worker.on("error", (error) => lane.thread.fail(error));
    worker.on("exit", (code) => {
      lane.thread.fail(new Error(`the masking thread ended with code ${code}`));
      // Nobody answers there any more: the next vector gets another thread.
      const at = this.#lanes.indexOf(lane);
      if (at >= 0) this.#lanes.splice(at, 1);
    });
    this.#lanes.push(lane);
    return lane;
  }
}

/** Sends vectors to one masking service and writes what comes back over them. */
export class Thread {
  readonly #service: Service;
  readonly #jobs = new Map<number, Job>();
  #sequence = 0;

  constructor(service: Service) {
    this.#service = service;
    service.on("message", (message) => this.#receive(message));
  }

  /** Vectors under way. */
  get load(): number {
    return this.#jobs.size;
  }

  mask(vector: Words, masks: readonly Mask[]): Promise<Uint8Array> {
    const id = ++this.#sequence;
    const wordBits = vector.BYTES_PER_ELEMENT === 4 ? 32 : 16;
    return new Promise((finish, fail) => {
      const job: Job = { source: bytesOf(vector), sent: 0, masked: 0, finish, fail };
      this.#jobs.set(id, job);
      if (vector.buffer instanceof SharedArrayBuffer) {
        this.#service.postMessage({ kind: "shared", job: id, words: vector, masks }, []);
        return;
      }
      this.#service.postMessage({ kind: "begin", job: id, wordBits, masks }, []);
      for (let i = 0; i < PIECES_UNDER_WAY; i++) this.#send(id, job, new Uint8Array(PIECE_BYTES));
    });
  }

  /** Every vector under way fails. */
  fail(error: unknown): void {
    for (const job of this.#jobs.values()) job.fail(error);
    this.#jobs.clear();
  }

  #send(id: number, job: Job, memory: Uint8Array<ArrayBuffer>): void {
    const piece = job.source.subarray(job.sent, job.sent + PIECE_BYTES);
    if (piece.length === 0) return;
    const bytes = memory.subarray(0, piece.length);
    bytes.set(piece);
    job.sent += piece.length;
    this.#service.postMessage({ kind: "piece", job: id, bytes }, [bytes.buffer]);
    if (job.sent === job.source.length) this.#service.postMessage({ kind: "end", job: id }, []);
  }

  #receive(message: FromMaskService): void {
    const job = this.#jobs.get(message.job);
    if (!job) return;
    if (message.kind === "digest") {
      this.#jobs.delete(message.job);
      job.finish(message.digest);
      return;
    }
    // Pieces come back in the order in which they were sent.
    job.source.set(message.bytes, job.masked);
    job.masked += message.bytes.length;
    this.#send(message.job, job, message.bytes);
  }
}
