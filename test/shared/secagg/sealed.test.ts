import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import nacl from "tweetnacl";
import type { ErrorCode } from "../../../shared/errors.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { boxKeyOfIdentity, boxSecretOfSeed } from "../../../shared/secagg/box-key.ts";
import { newSealableWords, openVector, sealedLength, sealVector } from "../../../shared/secagg/sealed.ts";
import { bytesOf } from "../../../shared/secagg/mask.ts";
import { boxKeyOf, openShares, sealShares } from "../../../shared/secagg/share-box.ts";
import { fromBase64 } from "../../../shared/secagg/encoding.ts";
import { referenceCrypto } from "../../reference/crypto.ts";
import { fixedSecureRng } from "../../fakes/secagg.ts";

const crypto = new NodeCrypto();
const sid = "5e".repeat(32);
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

function code(act: () => unknown): ErrorCode | null {
  try {
    act();
  } catch (error) {
    return (error as { code: ErrorCode }).code;
  }
  return null;
}

describe("the box key of an identity", () => {
  test("its two halves belong together", () => {
    fc.assert(
      fc.property(seed, (bytes) => {
        const identity = crypto.signingKey(bytes).publicKey;
        expect(boxKeyOfIdentity(identity)).toEqual(crypto.agreementKey(boxSecretOfSeed(bytes)).publicKey);
      }),
      { numRuns: 40 },
    );
  });

  test("what is no key has none", () => {
    expect(code(() => boxKeyOfIdentity(new Uint8Array(31)))).toBe("AUTH_REFUSED");
    expect(code(() => boxKeyOfIdentity(new Uint8Array(32).fill(255)))).toBe("AUTH_REFUSED");
    expect(code(() => boxKeyOfIdentity(new Uint8Array(32).with(0, 1)))).toBe("AUTH_REFUSED");
  });
});

describe("a sealed vector", () => {
  const coordinator = crypto.agreementKey(new Uint8Array(32).fill(4));
  const random = fixedSecureRng(crypto, "sealing");
  const seal = (plain: Uint8Array) => sealVector(crypto, random, sid, "site-1", coordinator.publicKey, plain);

  test.each([0, 1, 65_535, 65_536, 65_537, 200_000])("%i bytes come back", (length) => {
    const plain = Uint8Array.from({ length }, (_, i) => i * 31);
    const sealed = seal(plain);
    expect(sealed.length).toBe(sealedLength(length));
    expect(Buffer.compare(openVector(crypto, sid, "site-1", coordinator, sealed), plain)).toBe(0);
  });

  test.each([
    [32, 1],
    [32, 16_384],
    [32, 16_385],
    [16, 100_003],
  ] as const)("words of %i bits with room around them are sealed in place, %i of them", (bits, length) => {
    const words = newSealableWords(bits, length).map((_, i) => i * 40_503);
    const own = newSealableWords(bits, length);
    own.set(words);
    const sealed = seal(bytesOf(own));
    expect(sealed.buffer).toBe(own.buffer);
    expect(Buffer.compare(openVector(crypto, sid, "site-1", coordinator, sealed), bytesOf(words))).toBe(0);
  });

  test("its slow twin opens it", () => {
    const plain = Uint8Array.from({ length: 500 }, (_, i) => i);
    const key = referenceCrypto.agreementKey(new Uint8Array(32).fill(4));
    expect(openVector(referenceCrypto, sid, "site-1", key, seal(plain))).toEqual(plain);
  });

  test("any change, cut or exchange of chunks is noticed, and so is another session or sender", () => {
    const sealed = seal(new Uint8Array(3 * 65_536));
    const chunk = 65_536 + 16;
    const opens = (bytes: Uint8Array, by = "site-1", where = sid) =>
      code(() => openVector(crypto, where, by, coordinator, bytes));
    expect(opens(sealed)).toBeNull();
    for (const at of [0, 40, 32 + chunk, sealed.length - 1]) {
      expect(opens(sealed.with(at, (sealed[at] as number) ^ 1))).toBe("WIRE_HASH");
    }
    expect(opens(sealed.slice(0, 32 + 2 * chunk))).toBe("WIRE_HASH");
    expect(opens(sealed.slice(0, -5))).toBe("WIRE_HASH");
    expect(opens(sealed.slice(0, 20))).toBe("WIRE_HASH");
    const [head, a, b, c] = [0, 32, 32 + chunk, 32 + 2 * chunk].map((at, i, all) => sealed.slice(at, all[i + 1]));
    expect(opens(Uint8Array.from(Buffer.concat([head!, b!, a!, c!])))).toBe("WIRE_HASH");
    expect(opens(sealed, "site-2")).toBe("WIRE_HASH");
    expect(opens(sealed, "site-1", "00".repeat(32))).toBe("WIRE_HASH");
    const weak = sealed.slice();
    weak.fill(0, 0, 32);
    expect(opens(weak)).toBe("SECAGG_KEY_WEAK");
  });
});

describe("the box of a share", () => {
  test("is NaCl's", () => {
    fc.assert(
      fc.property(seed, seed, (a, b) => {
        const [alice, bob] = [nacl.box.keyPair.fromSecretKey(a), nacl.box.keyPair.fromSecretKey(b)];
        const shared = crypto.agreementKey(a).agree(bob.publicKey) as Uint8Array;
        expect(boxKeyOf(shared)).toEqual(nacl.box.before(alice.publicKey, b));
      }),
      { numRuns: 10 },
    );
    const [alice, bob] = [1, 2].map((fill) => nacl.box.keyPair.fromSecretKey(new Uint8Array(32).fill(fill)));
    const key = boxKeyOf(crypto.agreementKey(new Uint8Array(32).fill(1)).agree(bob!.publicKey) as Uint8Array);
    const route = { sid, from: "a", to: "b" };
    const shares = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)] as const;
    const payload = sealShares(crypto, fixedSecureRng(crypto, "n"), key, route, ...shares);
    const bytes = fromBase64(payload) as Uint8Array;
    const opened = nacl.box.open(bytes.subarray(24, 136), bytes.subarray(0, 24), alice!.publicKey, bob!.secretKey);
    expect(opened?.slice(32)).toEqual(Uint8Array.from([...shares[0], ...shares[1]]));
    expect(openShares(crypto, key, route, payload)).toEqual({ selfMask: shares[0], maskKey: shares[1] });
    for (const wrong of [{ sid: "00".repeat(32) }, { from: "c" }, { to: "c" }]) {
      expect(code(() => openShares(crypto, key, { ...route, ...wrong }, payload))).toBe("SECAGG_SHARE_FALSE");
    }
  });
});
