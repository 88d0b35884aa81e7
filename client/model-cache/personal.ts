/**
 * What a site keeps for itself of the model (`training.personal`): never sent, written after every round's training.
 * The two newest are kept, by round, so that a round that is trained again begins from the same values.
 */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { isCoded } from "../../shared/errors.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { decodeKeyframe, encodeKeyframe } from "../../shared/quantize/keyframe.ts";
import { layoutHashOf } from "../../shared/quantize/pack.ts";

export interface PersonalStore {
  /** The newest values from a round up to this one; null: as the model begins. */
  through(round: number): Promise<Float32Array | null>;
  /** Durable when resolved. The same round again takes the place of what it left before. */
  keep(round: number, values: Float32Array): Promise<void>;
}

/** Enough to train the newest round again, and to score the version before it. */
const KEPT = 2;

/**
 * Which of the rounds kept holds for `round`. With all {@link KEPT} there, older ones may have been thrown away: a
 * coordinator that went back to a backup gets the oldest.
 */
function roundFor(kept: readonly number[], round: number): number | null {
  const rounds = kept.toSorted((a, b) => b - a);
  return rounds.find((one) => one <= round) ?? (rounds.length >= KEPT ? (rounds.at(-1) ?? null) : null);
}

export class MemoryPersonalStore implements PersonalStore {
  #kept: Map<number, Float32Array>;

  constructor(kept: readonly (readonly [number, Float32Array])[] = []) {
    this.#kept = new Map(kept);
  }

  /** Everything kept, by round. */
  entries(): [number, Float32Array][] {
    return [...this.#kept];
  }

  async through(round: number): Promise<Float32Array | null> {
    const at = roundFor([...this.#kept.keys()], round);
    return at === null ? null : (this.#kept.get(at) ?? null);
  }

  async keep(round: number, values: Float32Array): Promise<void> {
    const kept = [...this.#kept.set(round, values.slice())].toSorted(([a], [b]) => b - a);
    this.#kept = new Map(kept.slice(0, KEPT));
  }
}

/** Files `ROUND-SHA256.personal`, in a folder for each layout: another plan's values are left alone. */
export class FilePersonalStore implements PersonalStore {
  readonly #folder: string;
  readonly #layout: ParamLayout;

  constructor(folder: string, layout: ParamLayout) {
    this.#folder = join(folder, layoutHashOf(layout).slice(0, 16));
    this.#layout = layout;
  }

  async through(round: number): Promise<Float32Array | null> {
    const files = await this.#files();
    for (;;) {
      const at = roundFor([...files.keys()], round);
      if (at === null) return null;
      const values = await this.#read(files.get(at) as string);
      if (values !== null) return values;
      files.delete(at);
    }
  }

  async keep(round: number, values: Float32Array): Promise<void> {
    const bytes = encodePersonal(this.#layout, values);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const name = `${round}-${bytesToHex(sha256(bytes))}.personal`;
    await writeFileDurably(join(this.#folder, name), bytes, 0o600);
    const files = await this.#files();
    const kept = new Set([...files.keys()].toSorted((a, b) => b - a).slice(0, KEPT));
    for (const other of await readdir(this.#folder)) {
      const old = !kept.has(roundOf(other)) || (roundOf(other) === round && other !== name);
      if (old) await rm(join(this.#folder, other), { force: true });
    }
  }

  /** As {@link through}, as the bytes of a file. */
  async file(round: number): Promise<Uint8Array | null> {
    const values = await this.through(round);
    return values === null ? null : encodePersonal(this.#layout, values);
  }

  async #files(): Promise<Map<number, string>> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    return new Map(names.filter((name) => roundOf(name) >= 0).map((name) => [roundOf(name), name]));
  }

  /** Null when the bytes are not those that were written. */
  async #read(name: string): Promise<Float32Array | null> {
    const bytes = await readFile(join(this.#folder, name));
    if (!name.includes(bytesToHex(sha256(bytes)))) return null;
    try {
      return decodeKeyframe(bytes, this.#layout).params;
    } catch (error) {
      if (isCoded(error, "RELEASE_FORMAT")) return null;
      throw error;
    }
  }
}

/** -1 for what is no file of the store. */
function roundOf(name: string): number {
  return Number(/^(\d+)-[0-9a-f]{64}\.personal$/.exec(name)?.[1] ?? -1);
}

/** A file of personal params: lossless, with the names of the tensors. */
export function encodePersonal(layout: ParamLayout, values: Float32Array): Uint8Array {
  return encodeKeyframe(layout, values);
}

/** Throws RELEASE_FORMAT. */
export function decodePersonal(bytes: Uint8Array): { layout: ParamLayout; params: Float32Array } {
  return decodeKeyframe(bytes);
}
