/**
 * What a site keeps for itself of the model (`training.personal`), or for the strategy (`training/drift.ts`): never sent.
 * The two newest are kept, by round, so that a round that is trained again begins from the same values; and of those trained
 * from an earlier version the newest, which holds where rounds came to nothing since.
 */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { isCoded } from "../../shared/errors.ts";
import { syncPath, writeFileDurably } from "../../shared/node/files.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { decodeKeyframe, encodeKeyframe } from "../../shared/quantize/keyframe.ts";
import { layoutHashOf } from "../../shared/quantize/pack.ts";

export interface PersonalStore {
  /** The newest values from a round up to this one; null: as the model begins. */
  through(round: number): Promise<Float32Array | null>;
  /** As {@link through}, of those alone that were trained from an earlier version than this one; null: none. */
  before(round: number, version: number): Promise<Float32Array | null>;
  /** Durable when resolved. The same round again takes the place of what it left before. `version`: trained from. */
  keep(round: number, values: Float32Array, version?: number): Promise<void>;
  /** Forgets what a round left. */
  drop(round: number): Promise<void>;
}

/** A round that left something, and the version it trained from; -1 where nobody asks for that. */
interface Kept {
  readonly round: number;
  readonly version: number;
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

/** Of those kept, newest first, those for {@link PersonalStore.before}. */
function earlier<T extends Kept>(kept: readonly T[], round: number, version: number): T[] {
  return kept.filter((one) => one.round < round && one.version < version).toSorted((a, b) => b.round - a.round);
}

/** Which rounds stay. */
function staying(kept: readonly Kept[]): ReadonlySet<number> {
  const newestFirst = kept.toSorted((a, b) => b.round - a.round);
  const [newest] = newestFirst;
  const before = newestFirst.find(({ version }) => newest !== undefined && version < newest.version);
  const stay = before === undefined ? newestFirst.slice(0, KEPT) : [...newestFirst.slice(0, KEPT), before];
  return new Set(stay.map(({ round }) => round));
}

export type PersonalEntry = readonly [round: number, values: Float32Array, version?: number];

export class MemoryPersonalStore implements PersonalStore {
  readonly #kept = new Map<number, Kept & { readonly values: Float32Array }>();

  constructor(kept: readonly PersonalEntry[] = []) {
    for (const [round, values, version = -1] of kept) this.#kept.set(round, { round, version, values });
  }

  /** Everything kept, by round. */
  entries(): PersonalEntry[] {
    return [...this.#kept.values()].map(({ round, values, version }) => [round, values, version]);
  }

  async through(round: number): Promise<Float32Array | null> {
    const at = roundFor([...this.#kept.keys()], round);
    return at === null ? null : (this.#kept.get(at)?.values ?? null);
  }

  async before(round: number, version: number): Promise<Float32Array | null> {
    return earlier([...this.#kept.values()], round, version)[0]?.values ?? null;
  }

  async keep(round: number, values: Float32Array, version = -1): Promise<void> {
    this.#kept.set(round, { round, version, values: values.slice() });
    const stay = staying([...this.#kept.values()]);
    for (const old of this.#kept.keys()) if (!stay.has(old)) this.#kept.delete(old);
  }

  async drop(round: number): Promise<void> {
    this.#kept.delete(round);
  }
}

/** Files `ROUND[-vVERSION]-SHA256.personal`, in a folder for each layout: another plan's values are left alone. */
export class FilePersonalStore implements PersonalStore {
  readonly #folder: string;
  readonly #layout: ParamLayout;

  constructor(folder: string, layout: ParamLayout) {
    this.#folder = join(folder, layoutHashOf(layout).slice(0, 16));
    this.#layout = layout;
  }

  async through(round: number): Promise<Float32Array | null> {
    const files = new Map((await this.#files()).map((file) => [file.round, file.name]));
    for (;;) {
      const at = roundFor([...files.keys()], round);
      if (at === null) return null;
      const values = await this.#read(files.get(at) as string);
      if (values !== null) return values;
      files.delete(at);
    }
  }

  async before(round: number, version: number): Promise<Float32Array | null> {
    for (const { name } of earlier(await this.#files(), round, version)) {
      const values = await this.#read(name);
      if (values !== null) return values;
    }
    return null;
  }

  async keep(round: number, values: Float32Array, version?: number): Promise<void> {
    const bytes = encodePersonal(this.#layout, values);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const from = version === undefined ? "" : `v${version}-`;
    const name = `${round}-${from}${bytesToHex(sha256(bytes))}.personal`;
    await writeFileDurably(join(this.#folder, name), bytes, 0o600);
    const files = await this.#files();
    const current = files.filter((file) => file.round !== round || file.name === name);
    const stay = staying(current);
    await this.#remove(files.filter((file) => !current.includes(file) || !stay.has(file.round)));
  }

  async drop(round: number): Promise<void> {
    await this.#remove((await this.#files()).filter((file) => file.round === round));
  }

  /** As {@link through}, as the bytes of a file. */
  async file(round: number): Promise<Uint8Array | null> {
    const values = await this.through(round);
    return values === null ? null : encodePersonal(this.#layout, values);
  }

  async #files(): Promise<(Kept & { readonly name: string })[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    return names.flatMap((name) => {
      const [, round, version = -1] = /^(\d+)-(?:v(\d+)-)?[0-9a-f]{64}\.personal$/.exec(name) ?? [];
      return round === undefined ? [] : [{ name, round: Number(round), version: Number(version) }];
    });
  }

  async #remove(files: readonly { readonly name: string }[]): Promise<void> {
    for (const { name } of files) await rm(join(this.#folder, name), { force: true });
    if (files.length > 0) await syncPath(this.#folder);
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

/** A file of personal params: lossless, with the names of the tensors. */
export function encodePersonal(layout: ParamLayout, values: Float32Array): Uint8Array {
  return encodeKeyframe(layout, values);
}

/** Throws RELEASE_FORMAT. */
export function decodePersonal(bytes: Uint8Array): { layout: ParamLayout; params: Float32Array } {
  return decodeKeyframe(bytes);
}
