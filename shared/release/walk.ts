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
  /** Null: read it from the keyframe. */
  readonly layout: ParamLayout | null;
  /** The blob's bytes, already checked against its hash. */
  readonly fetch: (ref: BlobRef) => Promise<Uint8Array>;
}

export interface Walked {
  readonly layout: ParamLayout;
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
  let { layout, params } = continues
    ? { layout: context.layout, params: start.params }
    : { layout: context.layout, params: null as Float32Array | null };
  for (const link of links) {
    if (params === null || layout === null) {
      if (link.keyframe === null) {
        throw new CodedError("RELEASE_CHAIN", `the way to version ${link.version} begins without a keyframe`, {
          version: link.version,
        });
      }
      const bytes = await unpack(context, link.keyframe, context.layout);
      ({ layout, params } = decodeKeyframe(bytes, context.layout));
    } else {
      const bytes = await unpack(context, link.update as BlobRef, layout);
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
  return { layout: layout as ParamLayout, params: params as Float32Array, link: links.at(-1) as ChainLink };
}

/** Largest number of params that a keyframe of unknown layout may hold: 2 GiB of memory. */
const MOST_PARAMS = 2 ** 28;

async function unpack(context: WalkContext, ref: BlobRef, layout: ParamLayout | null): Promise<Uint8Array> {
  return context.compression.decompress(await context.fetch(ref), maxPackBytes(layout?.length ?? MOST_PARAMS));
}
