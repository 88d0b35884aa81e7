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

/** The hash tree over one client's shares, in their order. */
export class ShareTree {
  /** From the leaves up; each level's hashes one after the other. */
  readonly #levels: readonly Uint8Array[];

  constructor(crypto: CryptoPort, shares: readonly { readonly to: string; readonly payload: string }[]) {
    let level = concatBytes(...shares.map(({ to, payload }) => leafOf(crypto, to, payload)));
    const levels = [level];
    while (level.length > NODE) {
      const count = level.length / NODE;
      const next = new Uint8Array(Math.ceil(count / 2) * NODE);
      for (let i = 0; i < count; i += 2) {
        const [one, other] = [nodeAt(level, i), nodeAt(level, i + 1)];
        next.set(other.length === 0 ? one : parentOf(crypto, one, other), (i / 2) * NODE);
      }
      level = next;
      levels.push(level);
    }
    this.#levels = levels;
  }

  /** Its text is what is signed. */
  get root(): string {
    return toBase64(this.#levels.at(-1) as Uint8Array);
  }

  /** The payload of the share at this place, with its proof. */
  proven(place: number, payload: string): string {
    const beside = this.#levels.map((level, height) => nodeAt(level, (place >> height) ^ 1));
    return payload + SEPARATOR + toBase64(concatBytes(...beside));
  }
}

/** Empty behind the end of the level. */
function nodeAt(level: Uint8Array, place: number): Uint8Array {
  return level.subarray(place * NODE, (place + 1) * NODE);
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
