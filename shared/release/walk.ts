/** Walks a chain of links from what is at hand to the params they lead to, checking the hash at every step. */
import { CodedError } from "../errors.ts";
import { canonicalBytes, type ParamLayout } from "../params/layout.ts";
import { decodeKeyframe } from "../quantize/keyframe.ts";
import { maxPackBytes } from "../quantize/pack.ts";
import { applyUpdate } from "../quantize/update.ts";
import type { BlobRef, ChainLink } from "../wire/release.ts";
import { checkSequence } from "./link.ts";
import { sha256Of, type Compression, type ReleaseCrypto } from "./ports.ts";

export interface WalkContext {
  readonly crypto: ReleaseCrypto;
  readonly compression: Compression;
  readonly layout: ParamLayout;
  /** The blob's bytes, already checked against its hash. */
  readonly fetch: (ref: BlobRef) => Promise<Uint8Array>;
}

export interface Walked {
  readonly params: Float32Array;
  /** The link walked last. */
  readonly link: ChainLink;
}

/** What a walk starts from. */
export interface Start {
  readonly params: Float32Array;
  readonly paramsHash: string;
}

/**
 * Follows `links` (signatures already checked). Starts from `start` when the first link's update continues it,
 * otherwise from the first link's keyframe. Throws RELEASE_CHAIN, RELEASE_FORMAT, RELEASE_PARAMS.
 */
export async function walk(context: WalkContext, start: Start | null, links: readonly ChainLink[]): Promise<Walked> {
  checkSequence(links);
  const first = links[0];
  if (first === undefined) throw new CodedError("RELEASE_CHAIN", "the coordinator has no version to offer");
  const continues = start !== null && first.update !== null && first.parentHash === start.paramsHash;
  const { layout } = context;
  let params: Float32Array | null = continues ? start.params : null;
  for (const link of links) {
    if (params === null) {
      if (link.keyframe === null) {
        throw new CodedError("RELEASE_CHAIN", `the way to version ${link.version} begins without a keyframe`, {
          version: link.version,
        });
      }
      params = decodeKeyframe(await unpack(context, link.keyframe), layout).params;
    } else {
      // Nothing has changed: the hash of what is at hand is the one wanted.
      if (link.parentHash === link.paramsHash) continue;
      const bytes = await unpack(context, link.update as BlobRef);
      // The first step must not write into the caller's array; later ones work in place.
      params = applyUpdate(layout, params, bytes, params === start?.params ? undefined : params);
    }
    const hash = sha256Of(context.crypto, canonicalBytes(params));
    if (hash !== link.paramsHash) {
      throw new CodedError("RELEASE_PARAMS", `the bytes of version ${link.version} lead to other params`, {
        version: link.version,
        expected: link.paramsHash,
        got: hash,
      });
    }
  }
  return { params: params as Float32Array, link: links.at(-1) as ChainLink };
}

async function unpack({ compression, layout, fetch }: WalkContext, ref: BlobRef): Promise<Uint8Array> {
  return compression.decompress(await fetch(ref), maxPackBytes(layout.length));
}
