/**
 * What one client shared, as the coordinator keeps it until the sum is made: bytes, of which the statement for a holder is
 * written when it is asked for. As text the shares of 1,000 clients for 116 holders each are five times as large.
 */
import type { ClientName } from "../../shared/ids.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { commitmentsIn, SHARE_BYTES, type ShareCommitments } from "../../shared/secagg/share-box.ts";
import type { ShareTree } from "../../shared/secagg/share-tree.ts";
import type { Statement } from "../../shared/secagg/signed.ts";

interface Admitted {
  readonly owner: ClientName;
  /** In the order of their points. */
  readonly holders: readonly ClientName[];
  /** Of each holder, in the same order: the bytes of its payload. */
  readonly payloads: readonly Uint8Array[];
  /** One signature under all, and the tree that leads to it; or one for each holder. */
  readonly signed: { readonly tree: ShareTree; readonly signature: string } | readonly string[];
}

export class AdmittedShares {
  readonly #owner: ClientName;
  readonly #places: ReadonlyMap<ClientName, number>;
  /** Each takes {@link SHARE_BYTES}. */
  readonly #payloads: Uint8Array;
  readonly #signed: Admitted["signed"];

  constructor({ owner, holders, payloads, signed }: Admitted) {
    this.#owner = owner;
    this.#places = new Map(holders.map((holder, place) => [holder, place]));
    this.#payloads = new Uint8Array(payloads.length * SHARE_BYTES);
    for (const [place, payload] of payloads.entries()) this.#payloads.set(payload, place * SHARE_BYTES);
    this.#signed = signed;
  }

  /** In the order of their points, the owner among them. */
  get holders(): readonly ClientName[] {
    return [...this.#places.keys()];
  }

  isHeldBy(client: ClientName): boolean {
    return this.#places.has(client);
  }

  /** What this holder is shown; null for anybody else. The one for the owner itself carries only a commitment. */
  statementFor(holder: ClientName): Statement | null {
    const place = this.#places.get(holder);
    if (place === undefined) return null;
    const payload = toBase64(this.#payload(holder, place));
    const signed = this.#signed;
    return "tree" in signed
      ? { sender: this.#owner, payload: signed.tree.proven(place, payload), signature: signed.signature }
      : { sender: this.#owner, payload, signature: signed[place] as string };
  }

  /** What the owner committed to for this holder; null for anybody else. */
  commitmentsFor(holder: ClientName): ShareCommitments | null {
    const place = this.#places.get(holder);
    return place === undefined ? null : commitmentsIn(this.#payload(holder, place));
  }

  #payload(holder: ClientName, place: number): Uint8Array {
    const at = place * SHARE_BYTES;
    return this.#payloads.subarray(at, at + (holder === this.#owner ? 32 : SHARE_BYTES));
  }
}
