/** Chain links: signing, checking, and the way from one version to another. */
import { canonicalJson } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import type { SigningKey } from "../secagg/crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "../secagg/encoding.ts";
import type { ChainLink } from "../wire/release.ts";
import type { ReleaseCrypto } from "./ports.ts";

export type UnsignedLink = Omit<ChainLink, "signature">;

function signedBytes(link: UnsignedLink): Uint8Array {
  return encodeTuple("allulook/chain-link/v1", canonicalJson(link));
}

/** Signs a link with the coordinator's key. */
export function signLink(key: SigningKey, link: UnsignedLink): ChainLink {
  return { ...link, signature: toBase64(key.sign(signedBytes(link))) };
}

/** Throws RELEASE_SIGNATURE, or RELEASE_CHAIN for a link of another federation. */
export function checkLink(
  crypto: ReleaseCrypto,
  coordinatorKey: Uint8Array,
  federation: Sha256,
  link: ChainLink,
): void {
  const { signature, ...fields } = link;
  const bytes = fromBase64(signature);
  if (bytes === null || !crypto.verify(coordinatorKey, signedBytes(fields), bytes)) {
    throw new CodedError("RELEASE_SIGNATURE", `version ${link.version} is not signed by the coordinator`, {
      version: link.version,
    });
  }
  if (link.federation !== federation) {
    throw new CodedError("RELEASE_CHAIN", `version ${link.version} belongs to another federation`, {
      expected: federation,
      got: link.federation,
    });
  }
}

/** Throws RELEASE_CHAIN unless every link follows from the one before. */
export function checkSequence(links: readonly ChainLink[]): void {
  for (let i = 1; i < links.length; i++) {
    const before = links[i - 1] as ChainLink;
    const link = links[i] as ChainLink;
    if (link.version !== before.version + 1 || link.parentHash !== before.paramsHash || link.update === null) {
      throw new CodedError("RELEASE_CHAIN", `version ${link.version} does not follow from version ${before.version}`, {
        version: link.version,
      });
    }
  }
}

/**
 * The cheapest way to the newest version for a client at `after` (-1: it has nothing): the updates that follow, or
 * the newest keyframe and what follows that, whichever is fewer bytes. `links` are all links in order of version;
 * updates older than the newest keyframe's version are no longer kept.
 */
export function linksAfter(links: readonly ChainLink[], after: number): ChainLink[] {
  const newest = links.at(-1);
  if (newest === undefined || after === newest.version) return [];
  const at = links.findLastIndex((link) => link.keyframe !== null);
  const fromKeyframe = links.slice(at);
  const keyframeVersion = (fromKeyframe[0] as ChainLink).version;
  if (after < 0 || after > newest.version || after < keyframeVersion - 1) return fromKeyframe;
  const updates = links.slice(links.findIndex((link) => link.version === after + 1));
  const cost = (path: readonly ChainLink[]) => path.reduce((sum, link) => sum + (link.update?.bytes ?? 0), 0);
  const keyframe = fromKeyframe[0] as ChainLink;
  const viaKeyframe = (keyframe.keyframe?.bytes ?? 0) + cost(fromKeyframe.slice(1));
  return cost(updates) <= viaKeyframe ? updates : fromKeyframe;
}
