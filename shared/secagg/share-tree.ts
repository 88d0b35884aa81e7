/**
 * One signature under all shares of a client, where it has many holders: a hash tree (Merkle 1979) over what it made for each.
 * A holder is shown its own share with the hashes beside the way to the root, and the signature under the root. The two
 * below a node are hashed in order of their bytes, so that a proof needs no directions; 24 bytes of SHA-256 each.
 */
import { concatBytes } from "@noble/hashes/utils.js";
import { CodedError } from "../errors.ts";
import type { CryptoPort } from "./crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "./encoding.ts";

const NODE = 24;
/** Between a share's payload and its proof; neither has it. */
const SEPARATOR = ".";
/** Proofs for more leaves than a client can have holders. */
const DEEPEST = 8;

function leafOf(crypto: CryptoPort, to: string, payload: string): Uint8Array {
  return crypto.sha256(encodeTuple("allulook/share-leaf/v1", to, payload)).subarray(0, NODE);
}

function parentOf(crypto: CryptoPort, one: Uint8Array, other: Uint8Array): Uint8Array {
  const at = one.findIndex((byte, i) => byte !== other[i]);
  const first = at < 0 || (one[at] as number) < (other[at] as number);
  const pair = first ? [one, other] : [other, one];
  return crypto.sha256(encodeTuple("allulook/share-node/v1", ...pair)).subarray(0, NODE);
}

/** The root's text, which is signed, and each share's payload with its proof. */
export function shareTree(
  crypto: CryptoPort,
  shares: readonly { readonly to: string; readonly payload: string }[],
): { readonly root: string; readonly proven: readonly string[] } {
  let level = shares.map(({ to, payload }) => leafOf(crypto, to, payload));
  const proofs: Uint8Array[][] = shares.map(() => []);
  // Where each share's way to the root passes through the level.
  let places = shares.map((_, i) => i);
  while (level.length > 1) {
    for (const [share, place] of places.entries()) {
      const beside = level[place ^ 1];
      if (beside !== undefined) proofs[share]?.push(beside);
    }
    const next: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [one, other] = [level[i] as Uint8Array, level[i + 1]];
      next.push(other === undefined ? one : parentOf(crypto, one, other));
    }
    places = places.map((place) => place >> 1);
    level = next;
  }
  const proven = shares.map(
    ({ payload }, i) => payload + SEPARATOR + toBase64(concatBytes(...(proofs[i] as Uint8Array[]))),
  );
  return { root: toBase64(level[0] as Uint8Array), proven };
}

/** The payload without its proof. */
export function sharePart(proven: string): string {
  const at = proven.indexOf(SEPARATOR);
  return at < 0 ? proven : proven.slice(0, at);
}

/** The root's text to which this payload and proof lead for this holder; throws WIRE_INVALID naming the author. */
export function rootOf(crypto: CryptoPort, author: string, to: string, proven: string): string {
  const payload = sharePart(proven);
  const proof = fromBase64(proven.slice(payload.length + SEPARATOR.length));
  if (proven.length === payload.length || proof === null || proof.length % NODE > 0 || proof.length > DEEPEST * NODE) {
    throw new CodedError("WIRE_INVALID", `share of ${author} for ${to}: expected a payload and its proof`, {
      client: author,
      step: "share",
    });
  }
  let node = leafOf(crypto, to, payload);
  for (let at = 0; at < proof.length; at += NODE) node = parentOf(crypto, node, proof.subarray(at, at + NODE));
  return toBase64(node);
}
