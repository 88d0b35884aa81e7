/** Where a site keeps the params it has: the newest version and the one before. Files in deployment, memory in simulation. */
import { z } from "zod";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson } from "../../shared/canonical.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import { canonicalBytes } from "../../shared/params/layout.ts";
import { chainLink, type ChainLink } from "../../shared/wire/release.ts";

export interface ParamStore {
  /** The links of what is installed, newest first: at most two. */
  links(): Promise<ChainLink[]>;
  /** Canonical bytes; null when they are missing. The caller checks the hash. */
  read(link: ChainLink): Promise<Uint8Array | null>;
  /** Makes this the newest and keeps the one before. Durable when resolved; killed before, nothing has changed. */
  install(link: ChainLink, params: Float32Array): Promise<void>;
}

export class MemoryParamStore implements ParamStore {
  #installed: { link: ChainLink; params: Float32Array }[] = [];

  async links(): Promise<ChainLink[]> {
    return this.#installed.map(({ link }) => link);
  }

  async read(link: ChainLink): Promise<Uint8Array | null> {
    const found = this.#installed.find((entry) => entry.link.paramsHash === link.paramsHash);
    return found === undefined ? null : canonicalBytes(found.params);
  }

  async install(link: ChainLink, params: Float32Array): Promise<void> {
    this.#installed = [{ link, params }, ...this.#installed.slice(0, 1)];
  }
}

const stateFile = z.strictObject({ format: z.literal(1), installed: z.array(chainLink).max(2) });

/**
 * `installed.json` names what is installed; `<hash>.params` holds the bytes. The bytes are durable before the name
 * is, and old bytes go after it: a kill at any moment leaves the old state or the new one.
 */
export class FileParamStore implements ParamStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async links(): Promise<ChainLink[]> {
    const text = await readTextIfAny(this.#state);
    if (text === null) return [];
    try {
      return stateFile.parse(JSON.parse(text)).installed;
    } catch {
      // A cache: what cannot be read is fetched again.
      return [];
    }
  }

  async read(link: ChainLink): Promise<Uint8Array | null> {
    try {
      return await readFile(this.#file(link));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  async install(link: ChainLink, params: Float32Array): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const before = await this.links();
    const others = before.filter((other) => other.paramsHash !== link.paramsHash);
    const installed = [link, ...others.slice(0, 1)];
    await writeFileDurably(this.#file(link), canonicalBytes(params));
    await writeFileDurably(this.#state, canonicalJson({ format: 1, installed }));
    const kept = new Set(installed.map((entry) => this.#file(entry)));
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      const ours = name.endsWith(".params") || name.endsWith(".tmp");
      if (ours && !kept.has(path)) await rm(path, { force: true });
    }
  }

  get #state(): string {
    return join(this.#folder, "installed.json");
  }

  #file(link: ChainLink): string {
    return join(this.#folder, `${link.paramsHash}.params`);
  }
}
