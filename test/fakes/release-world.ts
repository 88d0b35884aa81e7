/** A coordinator's chain and a client's transport in memory, with switches for what goes wrong. */
import { federationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { layoutOf, type ParamLayout } from "../../shared/params/layout.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { ReleaseChain, type ChainOptions } from "../../coordinator/release/chain.ts";
import type { PublishContext } from "../../coordinator/release/publish.ts";
import type { VersionRecord } from "../../coordinator/store/port.ts";
import type { ModelCacheOptions } from "../../client/model-cache/cache.ts";
import { MemoryParamStore } from "../../client/model-cache/store.ts";

export const crypto = new NodeCrypto();
export const key = crypto.signingKey(new Uint8Array(32).fill(7));
export const FEDERATION = "f".repeat(64) as Sha256;
export const CONFIG_HASH = "c".repeat(64) as Sha256;

export const layout: ParamLayout = layoutOf([
  { name: "embedding", shape: [64, 8] },
  { name: "kernel", shape: [3, 3, 4, 4] },
  { name: "head", shape: [32, 3] },
  { name: "bias", shape: [8] },
]);

export function randomParams(...labels: (string | number)[]): Float32Array {
  const rng = Rng.of(...labels);
  return Float32Array.from({ length: layout.length }, () => rng.normal());
}

/** The server's exact params after `round` rounds. */
export function serverParams(round: number): Float32Array {
  const params = randomParams("initial");
  for (let r = 1; r <= round; r++) {
    const step = randomParams("step", r);
    for (let i = 0; i < params.length; i++) params[i] = (params[i] as number) + 0.05 * (step[i] as number);
  }
  return params;
}

export class World {
  readonly blobs = new Map<string, Uint8Array>();
  readonly records = new Map<number, VersionRecord>();
  readonly options: ChainOptions;
  /** Thrown by the next put of a version: a process killed at that point. */
  dieBeforeVersion = false;
  downloads = 0;
  offline = false;
  chain!: ReleaseChain;

  constructor(keyframeEvery: number) {
    this.options = {
      federation: FEDERATION,
      configHash: CONFIG_HASH,
      layout,
      dtype: "int8",
      keyframeEvery,
      key,
      crypto,
      compression: brotli,
      store: {
        versions: async () => [...this.records.values()],
        putVersion: async (record) => {
          if (this.dieBeforeVersion) throw new Error("killed");
          this.records.set(record.version, record);
        },
      },
      blobs: {
        put: async (bytes) => {
          const hash = sha256Of(crypto, bytes);
          this.blobs.set(hash, bytes.slice());
          return hash;
        },
        get: async (hash) => {
          const bytes = this.blobs.get(hash);
          if (bytes === undefined) throw new CodedError("STORE_CORRUPT", `no blob ${hash}`);
          return bytes;
        },
        delete: async (hash) => void this.blobs.delete(hash),
      },
    };
  }

  /** A coordinator process begins. */
  async start(): Promise<ReleaseChain> {
    this.chain = await ReleaseChain.open(this.options);
    return this.chain;
  }

  async commitUpTo(version: number): Promise<void> {
    for (let v = (this.chain.newest?.version ?? -1) + 1; v <= version; v++) {
      await this.chain.commit(v, serverParams(v));
    }
  }

  publishContext(folder: string | null): PublishContext {
    return {
      chain: this.chain,
      name: "test",
      folder,
      config: federationConfig.parse({
        federation: "test",
        labels: { segmentation: ["a", "b"] },
        release: { keyframeEvery: this.options.keyframeEvery },
      }),
    };
  }

  clientOptions(): ModelCacheOptions {
    return {
      federation: FEDERATION,
      coordinatorKey: key.publicKey,
      layout,
      crypto,
      compression: brotli,
      store: new MemoryParamStore(),
      transport: {
        chain: async (after) => {
          this.#requireOnline();
          return this.chain.linksAfter(after);
        },
        download: async (ref) => {
          this.#requireOnline();
          this.downloads++;
          const bytes = this.blobs.get(ref.sha256);
          if (bytes === undefined) throw new CodedError("WIRE_HASH", "gone");
          return bytes;
        },
      },
    };
  }

  #requireOnline(): void {
    if (this.offline) throw new CodedError("AUTH_REFUSED", "offline");
  }
}
