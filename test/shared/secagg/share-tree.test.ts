import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { rootOf, sharePart, ShareTree } from "../../../shared/secagg/share-tree.ts";

const crypto = new NodeCrypto();
const shareTree = (of: typeof crypto, shares: ReturnType<typeof made>) => {
  const tree = new ShareTree(of, shares);
  return { root: tree.root, proven: shares.map(({ payload }, place) => tree.proven(place, payload)) };
};
const made = (count: number) => Array.from({ length: count }, (_, i) => ({ to: `site-${i}`, payload: `share-${i}` }));

test("every share leads to the root, whatever their number; no other does", () => {
  for (const count of [1, 2, 3, 4, 5, 8, 9, 20, 117, 255]) {
    const shares = made(count);
    const { root, proven } = shareTree(crypto, shares);
    for (const [i, { to, payload }] of shares.entries()) {
      const text = proven[i] as string;
      expect(sharePart(text)).toBe(payload);
      expect(rootOf(crypto, "author", to, text)).toBe(root);
      expect(rootOf(crypto, "author", `${to}x`, text)).not.toBe(root);
      expect(rootOf(crypto, "author", to, text.replace("share", "lie"))).not.toBe(root);
      // Eight hashes of 24 bytes, in base64, at most.
      expect(text.length - payload.length).toBeLessThanOrEqual(1 + (8 * 24 * 4) / 3);
    }
  }
});

test("another share, holder or order of shares has another root", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 40 }), fc.nat(), (count, at) => {
      const shares = made(count);
      const i = at % count;
      const { root } = shareTree(crypto, shares);
      const share = shares[i] as (typeof shares)[number];
      expect(shareTree(crypto, shares.with(i, { ...share, payload: "other" })).root).not.toBe(root);
      expect(shareTree(crypto, shares.with(i, { ...share, to: "other" })).root).not.toBe(root);
      expect(shareTree(crypto, shares.slice(0, -1)).root).not.toBe(root);
    }),
  );
});

test("a node is no leaf: the hashes of two shares are no share", () => {
  const { root, proven } = shareTree(crypto, made(4));
  const [, proof = ""] = (proven[0] as string).split(".");
  const inner = Buffer.from(proof, "base64url").subarray(0, 24).toString("base64url");
  expect(rootOf(crypto, "author", "site-0", `${inner}.${proof}`)).not.toBe(root);
});

test("what has no proof, or not whole hashes, or too many, is refused with the author's name", () => {
  const { proven } = shareTree(crypto, made(5));
  const [payload = "", proof = ""] = (proven[0] as string).split(".");
  for (const text of [
    payload,
    `${payload}.${proof}AA`,
    `${payload}.${proof.slice(1)}`,
    `${payload}.${proof.repeat(5)}`,
  ]) {
    expect(() => rootOf(crypto, "author", "site-0", text)).toThrow(expect.objectContaining({ code: "WIRE_INVALID" }));
  }
});
