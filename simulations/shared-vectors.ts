/**
 * Vectors between clients and a coordinator in one process: they stay where they are, in memory that is used again and
 * again, and each is added to the sum as soon as it counts. A few serve a cohort of any size.
 */
import { addBytes } from "../coordinator/aggregate/secure-sum.ts";
import type { HandedVectors } from "../coordinator/round/parts.ts";
import type { FederationState, RoundEvent } from "../coordinator/round/state.ts";
import { currentSum } from "../coordinator/round/transition.ts";
import { CodedError } from "../shared/errors.ts";
import type { Sha256 } from "../shared/ids.ts";
import { bytesOf, type WordBits, type Words } from "../shared/secagg/mask.ts";

/** Vectors of a small model are made side by side, whatever the cohort. */
const MOST_BYTES = 64 << 20;

interface Running {
  readonly sid: string;
  readonly added: Set<Sha256>;
  words: Words | null;
  taken: boolean;
  /** Where vectors are kept apart. */
  readonly kept: Map<Sha256, Words>;
}

export class SharedVectors implements HandedVectors {
  readonly #wordBits: WordBits;
  readonly #least: number;
  readonly #mostBytes: number;
  readonly #apart: boolean;
  readonly #Memory: ArrayBufferConstructor | SharedArrayBufferConstructor;
  /** Memory that nobody uses. */
  #free: ArrayBufferLike[] = [];
  /** Memory in which a vector is being made, and what ends listening for its end. */
  readonly #lent = new Map<ArrayBufferLike, () => void>();
  readonly #waiting = new Set<() => void>();
  readonly #given = new Map<Sha256, { readonly words: Words; readonly during: Running | null }>();
  #running: Running | null = null;

  /**
   * @param threads that mask vectors, 0: none; memory that is not shared is copied faster
   * @param mostBytes of vectors that are made at a time, where that is more than one for each thread and one besides
   * @param apart keep the vectors of a session beside each other, for a rule that looks at each
   */
  constructor(wordBits: WordBits, threads: number, mostBytes = MOST_BYTES, apart = false) {
    this.#wordBits = wordBits;
    this.#apart = apart;
    this.#least = threads + 1;
    this.#mostBytes = mostBytes;
    this.#Memory = threads > 0 ? SharedArrayBuffer : ArrayBuffer;
  }

  /** Memory for one vector, until the vector is added or the signal says that there will be none. */
  readonly room = async (length: number, signal: AbortSignal): Promise<Words> => {
    const byteLength = (length * this.#wordBits) / 8;
    const most = Math.max(this.#least, Math.floor(this.#mostBytes / byteLength));
    while (this.#lent.size >= most) await this.#turn(signal);
    if (signal.aborted) {
      // The place that this one was woken for is another's.
      this.#wake();
      throw signal.reason;
    }
    const at = this.#free.findIndex((memory) => memory.byteLength === byteLength);
    const memory = this.#free.splice(at, at < 0 ? 0 : 1)[0] ?? new this.#Memory(byteLength);
    // Not used again: a thread may still be at work in it.
    const ended = () => this.#back(memory);
    signal.addEventListener("abort", ended, { once: true });
    this.#lent.set(memory, () => signal.removeEventListener("abort", ended));
    return this.#words(memory, 0, length);
  };

  /** An uploaded vector, under the name that its client gave it. */
  adopt(name: Sha256, bytes: Uint8Array): void {
    if (this.#running?.added.has(name) === true) return;
    const words = this.#words(bytes.buffer, bytes.byteOffset, (8 * bytes.length) / this.#wordBits);
    this.#given.set(name, { words, during: this.#running });
  }

  /** Adds a vector once its step counts: from then on it is part of the sum, whatever becomes of its client. */
  heard(event: RoundEvent, state: FederationState): void {
    if (event.type !== "step" || event.vector === null) return;
    const sum = currentSum(state);
    if (sum === null || !("inputs" in sum) || sum.inputs[event.client]?.vector !== event.vector.hash) return;
    this.#add(this.#session(sum.sid), event.vector.hash);
  }

  sum(sid: string, names: readonly Sha256[]): Words {
    const running = this.#session(sid);
    for (const name of names) this.#add(running, name);
    if (running.words === null || running.taken || !names.every((name) => running.added.has(name))) {
      throw new CodedError("WIRE_HASH", "a vector that was handed over is no longer there", { sid });
    }
    if (running.added.size > names.length) throw new Error("a vector was added that does not count");
    running.taken = true;
    for (const [i, vector] of [...running.kept.values()].entries())
      if (i > 0) addBytes(running.words, bytesOf(vector), 1);
    return running.words;
  }

  each(sid: string, names: readonly Sha256[]): readonly Words[] {
    const running = this.#session(sid);
    for (const name of names) this.#add(running, name);
    return names.map((name) => {
      const vector = running.kept.get(name);
      if (vector !== undefined) return vector;
      throw new CodedError("WIRE_HASH", "a vector that was handed over is no longer there", { sid });
    });
  }

  /** When another session begins, the memory of the sum before is free and what never counted is of no more use. */
  #session(sid: string): Running {
    if (this.#running?.sid === sid) return this.#running;
    const before = this.#running;
    const vectors = before === null ? [] : before.kept.size > 0 ? [...before.kept.values()] : [before.words];
    for (const vector of vectors) if (vector !== null) this.#free.push(vector.buffer);
    // What came last may already be the new session's: it is heard of before anything of it counts.
    for (const [name, { during }] of this.#given) if (during !== this.#running) this.#given.delete(name);
    this.#running = { sid, added: new Set(), words: null, taken: false, kept: new Map() };
    return this.#running;
  }

  #add(running: Running, name: Sha256): void {
    const vector = this.#given.get(name)?.words;
    if (vector === undefined) return;
    this.#given.delete(name);
    running.added.add(name);
    if (this.#apart) running.kept.set(name, vector);
    if (running.words === null) {
      running.words = vector;
    } else if (!this.#apart) {
      addBytes(running.words, bytesOf(vector), 1);
      this.#free.push(vector.buffer);
    }
    this.#back(vector.buffer);
  }

  #back(memory: ArrayBufferLike): void {
    const forget = this.#lent.get(memory);
    if (forget === undefined) return;
    forget();
    this.#lent.delete(memory);
    this.#wake();
  }

  /** Whoever has waited longest: each that is woken takes one place. */
  #wake(): void {
    const [go] = this.#waiting;
    go?.();
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        signal.removeEventListener("abort", go);
        resolve();
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", go);
    });
  }

  #words(memory: ArrayBufferLike, byteOffset: number, length: number): Words {
    return this.#wordBits === 32
      ? new Uint32Array(memory, byteOffset, length)
      : new Uint16Array(memory, byteOffset, length);
  }
}
