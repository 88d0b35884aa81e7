/**
 * The versions as one simulated client has them: those of the coordinator, which are in the same process. Nothing is
 * fetched, decoded or held twice; what each client would have downloaded is counted.
 */
import type { InstalledParams } from "../client/model-cache/cache.ts";
import type { Models } from "../client/session/ports.ts";
import type { ReleaseChain } from "../coordinator/release/chain.ts";
import { CodedError } from "../shared/errors.ts";
import type { ChainLink } from "../shared/wire/release.ts";

type Chain = Pick<ReleaseChain, "version" | "link" | "linksAfter">;

export class SharedModels implements Models {
  readonly #chain: Chain;
  readonly #count: (bytes: number) => void;
  #newest: InstalledParams | null = null;

  /** @param count told of the bytes of every update or keyframe that would have been downloaded */
  constructor(chain: Chain, count: (bytes: number) => void) {
    this.#chain = chain;
    this.#count = count;
  }

  async installed(): Promise<InstalledParams | null> {
    return this.#newest;
  }

  async ensure(version: number, paramsHash: string): Promise<Float32Array> {
    const held = this.#newest;
    if (held?.link.version === version && held.link.paramsHash === paramsHash) return held.params;
    const { params, link } = await this.#chain.version(version);
    if (link.paramsHash !== paramsHash) {
      throw new CodedError("RELEASE_CHAIN", `the coordinator does not offer version ${version}`, {
        version,
        paramsHash,
      });
    }
    const before = held?.link.version ?? -1;
    if (version > before) {
      this.#count(bytesAfter(this.#chain, before));
      this.#newest = { params, link };
    }
    return params;
  }

  async link(version: number): Promise<ChainLink | null> {
    return this.#chain.link(version);
  }
}

/** Of the updates since a version, or of a keyframe and the updates since that. */
function bytesAfter(chain: Chain, version: number): number {
  return chain.linksAfter(version).reduce((sum, link, i) => {
    const whole = i === 0 && link.version !== version + 1;
    return sum + ((whole || link.update === null ? link.keyframe : link.update)?.bytes ?? 0);
  }, 0);
}
