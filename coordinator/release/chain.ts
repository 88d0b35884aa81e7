/**
 * The chain of versions at the coordinator. A commit turns the server's exact params S into R, the params that
 * everybody can reconstruct, and is durable before it is visible. Committing a version again gives the same link.
 */
import { canonicalJson } from "../../shared/canonical.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { canonicalBytes, type ParamLayout } from "../../shared/params/layout.ts";
import type { Dtype, Fallback } from "../../shared/quantize/dtype.ts";
import { l2Norm } from "../../shared/privacy/clip.ts";
import { encodeKeyframe } from "../../shared/quantize/keyframe.ts";
import { layoutHashOf } from "../../shared/quantize/pack.ts";
import { encodeUpdate } from "../../shared/quantize/update.ts";
import { linksAfter, signLink } from "../../shared/release/link.ts";
import { readManifest } from "../../shared/release/manifest.ts";
import { sha256Of, type Compression, type ReleaseCrypto } from "../../shared/release/ports.ts";
import { walk } from "../../shared/release/walk.ts";
import type { SigningKey } from "../../shared/secagg/crypto-port.ts";
import { chainLink, type BlobRef, type ChainLink } from "../../shared/wire/release.ts";
import type { BlobStore, FederationStore, VersionRecord } from "../store/port.ts";

export interface ChainOptions {
  readonly federation: Sha256;
  readonly configHash: Sha256;
  readonly layout: ParamLayout;
  readonly dtype: Dtype;
  readonly keyframeEvery: number;
  /** The coordinator's key. */
  readonly key: SigningKey;
  readonly crypto: ReleaseCrypto;
  readonly compression: Compression;
  readonly store: Pick<FederationStore, "versions" | "putVersion">;
  readonly blobs: Pick<BlobStore, "put" | "get" | "delete">;
}

export interface Version {
  readonly version: number;
  /** R, shared: never written to. */
  readonly params: Float32Array;
  readonly link: ChainLink;
}

/**
 * A version counts once the state of the federation has it ({@link ReleaseChain.settle}). One that was committed by a
 * process that died before it could say so has been told to nobody: it gives way to what comes of the round instead.
 */
export class ReleaseChain {
  readonly options: ChainOptions;
  readonly #layoutHash: Sha256;
  readonly #records = new Map<number, VersionRecord>();
  readonly #links: ChainLink[] = [];
  #newest: Version | null = null;
  /** Those of the newest manifest that has a model. */
  #fallbacks: Fallback[] = [];
  #committing: Promise<unknown> = Promise.resolve();
  /** The keyframe before which this process has deleted what is no longer needed. */
  #retired = -1;

  private constructor(options: ChainOptions) {
    this.options = options;
    this.#layoutHash = layoutHashOf(options.layout);
  }

  /** Reads what is committed and reconstructs the newest R. Throws STORE_CORRUPT, RELEASE_*. */
  static async open(options: ChainOptions): Promise<ReleaseChain> {
    const chain = new ReleaseChain(options);
    const records = (await options.store.versions()).toSorted((a, b) => a.version - b.version);
    for (const record of records) {
      chain.#records.set(record.version, record);
      chain.#links.push(chainLink.parse(JSON.parse(record.link)));
      if (record.manifest !== null) chain.#fallbacks = chain.#fallbacksOf(record.manifest) ?? chain.#fallbacks;
    }
    const link = chain.#links.at(-1);
    if (link !== undefined) {
      chain.#newest = { version: link.version, params: await chain.#reconstruct(link.version), link };
    }
    return chain;
  }

  /** The newest version; null before version 0 was committed. */
  get newest(): Version | null {
    return this.#newest;
  }

  /**
   * Commits the server's params as `version`: 0 first, then each one after the newest. Durable when resolved.
   * The newest version is committed again while it is not released, to the same link when `serverParams` are the same:
   * recovery may repeat. An older or a released one is given back as it is.
   * The link carries the fallbacks of the newest release. Throws RELEASE_CHAIN, UPDATE_NOT_FINITE, STORE_FULL.
   */
  commit(version: number, serverParams: Float32Array): Promise<Version> {
    const result = this.#committing.then(() => this.#commit(version, serverParams));
    this.#committing = result.catch(() => undefined);
    return result;
  }

  async #commit(version: number, serverParams: Float32Array): Promise<Version> {
    const again = version > 0 && version === this.#newest?.version && this.manifest(version) === null;
    if (this.link(version) !== null && !again) return this.version(version);
    const parent = again ? await this.version(version - 1) : this.#newest;
    const expected = parent === null ? 0 : parent.version + 1;
    if (version !== expected) {
      throw new CodedError("RELEASE_CHAIN", `version ${expected} is next, not ${version}`, { expected, got: version });
    }
    const { layout, dtype, configHash, federation, key, crypto, keyframeEvery } = this.options;
    // Version 0 is exact: its R is the initial params themselves.
    const update = parent === null ? null : encodeUpdate(layout, serverParams, parent.params, dtype, this.#layoutHash);
    const params = update?.params ?? exactCopy(layout, serverParams);
    const keyframe = version % keyframeEvery === 0 ? encodeKeyframe(layout, params) : null;
    const storing = Promise.all([this.#store(update?.bytes), this.#store(keyframe)]);
    storing.catch(() => undefined);
    // Meanwhile other threads compress. A round that changed nothing needs no hash of hundreds of megabytes.
    const paramsHash =
      parent !== null && params === parent.params ? parent.link.paramsHash : sha256Of(crypto, canonicalBytes(params));
    const [updateRef, keyframeRef] = await storing;
    const link = signLink(key, {
      federation,
      version,
      parentHash: parent?.link.paramsHash ?? null,
      paramsHash,
      configHash,
      update: updateRef,
      keyframe: keyframeRef,
      fallbacks: this.#fallbacks,
    });
    const record: VersionRecord = { version, link: canonicalJson(link), manifest: null };
    if (again && record.link === this.#records.get(version)?.link) return this.version(version);
    await this.options.store.putVersion(record);
    this.#records.set(version, record);
    if (again) this.#links.pop();
    this.#links.push(link);
    this.#newest = { version, params, link };
    // That there is a version after it settles its parent.
    if (version > 0) await this.#retire(version - 1);
    return this.#newest;
  }

  /** The federation's state has this version, durably: what only older ones needed may go. */
  settle(version: number): Promise<void> {
    const result = this.#committing.then(() => this.#retire(version));
    this.#committing = result.catch(() => undefined);
    return result;
  }

  /** Links that lead from `after` (-1: from nothing) to version `upTo`, beginning with a keyframe if needed. */
  linksAfter(after: number, upTo: number = Number.POSITIVE_INFINITY): ChainLink[] {
    return linksAfter(
      this.#links.filter((link) => link.version <= upTo),
      after,
    );
  }

  /** The oldest version whose bytes are still kept: that of the newest keyframe which is settled. */
  get oldest(): number {
    const open = this.#newest !== null && this.manifest(this.#newest.version) === null ? this.#newest.version : null;
    const keyframe = this.#links.findLast((link) => link.keyframe !== null && link.version !== open)?.version ?? 0;
    return Math.max(this.#retired, keyframe);
  }

  /** The link of one version. */
  link(version: number): ChainLink | null {
    return this.#links.find((link) => link.version === version) ?? null;
  }

  /** A committed version, from the newest keyframe on. Throws RELEASE_CHAIN for others. */
  async version(version: number): Promise<Version> {
    if (this.#newest?.version === version) return this.#newest;
    const link = this.link(version);
    if (link === null) throw new CodedError("RELEASE_CHAIN", `version ${version} was never committed`, { version });
    return { version, params: await this.#reconstruct(version), link };
  }

  /** Records a version's signed manifest. Durable when resolved. */
  async release(version: number, manifest: Uint8Array): Promise<void> {
    const record = this.#records.get(version);
    if (record === undefined)
      throw new CodedError("RELEASE_CHAIN", `version ${version} was never committed`, { version });
    const fallbacks = this.#fallbacksOf(manifest);
    const released = { ...record, manifest };
    await this.options.store.putVersion(released);
    this.#records.set(version, released);
    this.#fallbacks = fallbacks ?? this.#fallbacks;
  }

  /** The signed manifest of a version; null while it is not released. */
  manifest(version: number): Uint8Array | null {
    return this.#records.get(version)?.manifest ?? null;
  }

  /** A manifest's fallbacks; null when it has no model. */
  #fallbacksOf(manifest: Uint8Array): Fallback[] | null {
    return readManifest(this.options.crypto, manifest, this.options.key.publicKey).model?.fallbacks ?? null;
  }

  async #store(bytes: Uint8Array | null | undefined): Promise<BlobRef | null> {
    if (bytes === null || bytes === undefined) return null;
    const compressed = await this.options.compression.compress(bytes);
    return { sha256: await this.options.blobs.put(compressed), bytes: compressed.length };
  }

  async #reconstruct(version: number): Promise<Float32Array> {
    const { crypto, compression, layout, blobs } = this.options;
    const { oldest } = this;
    if (version < oldest) {
      throw new CodedError("RELEASE_CHAIN", `the bytes of version ${version} are no longer kept`, { version, oldest });
    }
    const upTo = this.#links.filter((link) => link.version <= version);
    const links = linksAfter(upTo, -1);
    const { params } = await walk({ crypto, compression, layout, fetch: (ref) => blobs.get(ref.sha256) }, null, links);
    return params;
  }

  /** Keeps the newest keyframe up to a version, its update and every update after it; a blob shared with older ones stays. */
  async #retire(upTo: number): Promise<void> {
    const keyframeVersion =
      this.#links.findLast((link) => link.keyframe !== null && link.version <= upTo)?.version ?? 0;
    if (keyframeVersion <= this.#retired) return;
    const refs = (links: readonly ChainLink[]) =>
      new Set(
        links.flatMap((link) => [link.update, link.keyframe]).flatMap((ref) => (ref === null ? [] : [ref.sha256])),
      );
    const kept = refs(this.#links.filter((link) => link.version >= keyframeVersion));
    // Those before the last keyframe went when it was written; trying again costs little and mends a crash.
    const old = refs(
      this.#links.filter((link) => isBetween(link.version, keyframeVersion, this.options.keyframeEvery)),
    );
    for (const hash of old) if (!kept.has(hash)) await this.options.blobs.delete(hash);
    this.#retired = keyframeVersion;
  }
}

function isBetween(version: number, keyframeVersion: number, keyframeEvery: number): boolean {
  return version < keyframeVersion && version >= keyframeVersion - 2 * keyframeEvery;
}

function exactCopy(layout: ParamLayout, params: Float32Array): Float32Array {
  if (params.length !== layout.length) {
    throw new CodedError("PARAMS_SHAPE", `expected ${layout.length} params, got ${params.length}`, {
      expected: layout.length,
      got: params.length,
    });
  }
  // The norm of finite float32 is finite in float64.
  if (!Number.isFinite(l2Norm(params)))
    throw new CodedError("UPDATE_NOT_FINITE", "the initial params hold NaN or infinity");
  return params.slice();
}
