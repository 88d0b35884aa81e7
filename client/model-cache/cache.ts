/**
 * The site's copy of R, the params it trains from. `ensure` brings any version the coordinator asks for: from memory,
 * from disk (checked against its hash), by the updates since the last one, or from the newest keyframe after a long
 * absence. Every link must be signed by the pinned coordinator key and every result must have the signed hash.
 */
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { paramsFromBytes, type ParamLayout } from "../../shared/params/layout.ts";
import { checkLink } from "../../shared/release/link.ts";
import { sha256Of, type Compression, type ReleaseCrypto } from "../../shared/release/ports.ts";
import { walk, type Start } from "../../shared/release/walk.ts";
import type { ChainLink } from "../../shared/wire/release.ts";
import type { ClientTransport } from "../transport/port.ts";
import type { ParamStore } from "./store.ts";

export interface ModelCacheOptions {
  readonly federation: Sha256;
  /** Pinned at enrolment, 32 bytes. */
  readonly coordinatorKey: Uint8Array;
  readonly layout: ParamLayout;
  readonly store: ParamStore;
  readonly transport: Pick<ClientTransport, "chain" | "download">;
  readonly crypto: ReleaseCrypto;
  readonly compression: Compression;
}

export interface InstalledParams {
  readonly link: ChainLink;
  /** Shared: copy before writing. */
  readonly params: Float32Array;
}

export class ModelCache {
  readonly options: ModelCacheOptions;
  #newest: InstalledParams | null = null;
  #opened = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: ModelCacheOptions) {
    this.options = options;
  }

  /** What is installed, without asking anybody; null when there is nothing that is whole. */
  async installed(): Promise<InstalledParams | null> {
    return this.#inTurn(() => this.#open());
  }

  /**
   * R of `version`, whose hash is `paramsHash`; installed when resolved. The array is shared: copy before writing.
   * Calls are served one after the other. Throws RELEASE_*, and what the transport throws.
   */
  async ensure(version: number, paramsHash: string, signal: AbortSignal): Promise<Float32Array> {
    const known = this.#newest;
    if (known !== null && isVersion(known.link, version, paramsHash)) return known.params;
    return this.#inTurn(async () => {
      const installed = await this.#open();
      if (installed !== null && isVersion(installed.link, version, paramsHash)) return installed.params;
      const before = await this.#fromStore(version, paramsHash);
      if (before !== null) return before;
      return (await this.#fetch(installed, version, paramsHash, signal)).params;
    });
  }

  /** The signed link of an installed version: what its `model/` falls back to stands there. */
  async link(version: number): Promise<ChainLink | null> {
    if (this.#newest?.link.version === version) return this.#newest.link;
    return (await this.options.store.links()).find((link) => link.version === version) ?? null;
  }

  async #fetch(
    installed: InstalledParams | null,
    version: number,
    paramsHash: string,
    signal: AbortSignal,
  ): Promise<InstalledParams> {
    const { transport, crypto, compression, layout, store } = this.options;
    const start: Start | null =
      installed === null ? null : { params: installed.params, paramsHash: installed.link.paramsHash };
    let links = await transport.chain(installed?.link.version ?? -1, signal);
    if (start !== null && !leadsOn(links, start)) links = await transport.chain(-1, signal);
    for (const link of links) checkLink(crypto, this.options.coordinatorKey, this.options.federation, link);
    const at = links.findIndex((link) => isVersion(link, version, paramsHash));
    if (at < 0) {
      throw new CodedError("RELEASE_CHAIN", `the coordinator does not offer version ${version}`, {
        version,
        paramsHash,
      });
    }
    const fetch = (ref: { sha256: Sha256; bytes: number }) => transport.download(ref, signal);
    const walked = await walk({ crypto, compression, layout, fetch }, start, links.slice(0, at + 1));
    await store.install(walked.link, walked.params);
    this.#newest = { link: walked.link, params: walked.params };
    return this.#newest;
  }

  /** Reads the newest version that is whole on disk, once. */
  async #open(): Promise<InstalledParams | null> {
    if (this.#opened) return this.#newest;
    for (const link of await this.options.store.links()) {
      const params = await this.#read(link);
      if (params !== null) {
        this.#newest = { link, params };
        break;
      }
    }
    this.#opened = true;
    return this.#newest;
  }

  /** The version before the newest is asked for again when a round was void. */
  async #fromStore(version: number, paramsHash: string): Promise<Float32Array | null> {
    for (const link of await this.options.store.links()) {
      if (isVersion(link, version, paramsHash)) return this.#read(link);
    }
    return null;
  }

  async #read(link: ChainLink): Promise<Float32Array | null> {
    const { store, crypto, layout, coordinatorKey, federation } = this.options;
    const bytes = await store.read(link);
    if (bytes === null || bytes.byteLength !== 4 * layout.length) return null;
    if (sha256Of(crypto, bytes) !== link.paramsHash) return null;
    checkLink(crypto, coordinatorKey, federation, link);
    // A view where the bytes are aligned: 27 million params need not be copied.
    return bytes.byteOffset % 4 === 0
      ? new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, layout.length)
      : paramsFromBytes(layout, bytes);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function isVersion(link: ChainLink, version: number, paramsHash: string): boolean {
  return link.version === version && link.paramsHash === paramsHash;
}

/** Whether a walk along these links can begin at `start` or at a keyframe. */
function leadsOn(links: readonly ChainLink[], start: Start): boolean {
  const first = links[0];
  return first !== undefined && (first.keyframe !== null || first.parentHash === start.paramsHash);
}
