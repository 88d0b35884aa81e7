import { describe, expect, test } from "@jest/globals";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { NodeCrypto, systemRandom } from "../../../shared/node/crypto.ts";
import type { CryptoPort } from "../../../shared/secagg/crypto-port.ts";
import { withVerificationCache } from "../../../shared/secagg/verification-cache.ts";
import { ctrKeystream, encryptBlock, expandKey } from "../../reference/aes.ts";
import { referenceCrypto } from "../../reference/crypto.ts";
import vectors from "../../vectors/crypto.json" with { type: "json" };

const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
const node = new NodeCrypto();

describe("the system's randomness", () => {
  test("never comes twice, whatever the lengths that are asked for", () => {
    const random = systemRandom();
    const seen = new Set<string>();
    let drawn = 0;
    // Past several refills, with lengths that do not divide them, and some that bypass them.
    for (let i = 0; drawn < 100_000; i++) {
      const length = [16, 24, 32, 33, 1_000, 5_000][i % 6] as number;
      const some = random.bytes(length);
      drawn += length;
      for (let at = 0; at + 16 <= length; at += 16) seen.add(bytesToHex(some.subarray(at, at + 16)));
    }
    let pieces = 0;
    for (let i = 0, sum = 0; sum < 100_000; i++) {
      const length = [16, 24, 32, 33, 1_000, 5_000][i % 6] as number;
      sum += length;
      pieces += Math.floor(length / 16);
    }
    expect(seen.size).toBe(pieces);
    expect(random.bytes(0)).toEqual(new Uint8Array(0));
  });

  test("has every byte about as often as every other", () => {
    const random = systemRandom();
    const counts = new Uint32Array(256);
    for (let i = 0; i < 4_000; i++) for (const byte of random.bytes(64)) counts[byte] = (counts[byte] as number) + 1;
    // 1,000 of each on average, with a standard deviation of 32.
    expect(Math.min(...counts)).toBeGreaterThan(750);
    expect(Math.max(...counts)).toBeLessThan(1_250);
  });
});

function seal(crypto: CryptoPort, key: Uint8Array, nonce: Uint8Array, text: Uint8Array, associated: Uint8Array) {
  const out = new Uint8Array(text.length + 16);
  crypto.aeadSealInto(out, key, nonce, text, associated);
  return out;
}

describe("the reference AES", () => {
  test("agrees with FIPS 197, appendix C.3, and SP 800-38A, F.5.5", () => {
    const { key, plaintext, ciphertext } = vectors.aes256;
    expect(bytesToHex(encryptBlock(expandKey(hexToBytes(key)), hexToBytes(plaintext)))).toBe(ciphertext);
    const ctr = vectors.aes256Ctr;
    const stream = ctrKeystream(hexToBytes(ctr.key), hexToBytes(ctr.counter), 64);
    const plain = hexToBytes(ctr.plaintext);
    expect(bytesToHex(stream.map((byte, i) => byte ^ (plain[i] as number)))).toBe(ctr.ciphertext);
  });
});

describe.each([
  ["node:crypto", node as CryptoPort],
  ["the slow twin", referenceCrypto],
  ["node:crypto behind the verification cache", withVerificationCache(node)],
])("%s", (_name, crypto) => {
  test("agrees with the published vectors", () => {
    const { hkdf, ed25519, x25519, gcm } = vectors;
    expect(bytesToHex(crypto.hkdfSha256(hexToBytes(hkdf.ikm), hexToBytes(hkdf.salt), hexToBytes(hkdf.info), 42))).toBe(
      hkdf.okm,
    );
    const key = crypto.signingKey(hexToBytes(ed25519.seed));
    expect(bytesToHex(key.publicKey)).toBe(ed25519.publicKey);
    expect(bytesToHex(key.sign(hexToBytes(ed25519.message)))).toBe(ed25519.signature);
    const shared = crypto.agreementKey(hexToBytes(x25519.secretA)).agree(hexToBytes(x25519.publicB));
    expect(shared && bytesToHex(shared)).toBe(x25519.shared);
    const sealed = seal(
      crypto,
      hexToBytes(gcm.key),
      hexToBytes(gcm.nonce),
      hexToBytes(gcm.plaintext),
      hexToBytes(gcm.associated),
    );
    expect(bytesToHex(sealed)).toBe(gcm.sealed);
  });

  test("refuses wrong signatures and keys that are none", () => {
    const key = crypto.signingKey(new Uint8Array(32).fill(5));
    const message = new Uint8Array([1, 2, 3]);
    const signature = key.sign(message);
    expect(crypto.verify(key.publicKey, message, signature)).toBe(true);
    expect(crypto.verify(key.publicKey, message, signature)).toBe(true);
    expect(crypto.verify(key.publicKey, new Uint8Array([1, 2, 4]), signature)).toBe(false);
    expect(crypto.verify(key.publicKey, message, signature.with(7, (signature[7] as number) ^ 1))).toBe(false);
    expect(crypto.verify(key.publicKey.slice(1), message, signature)).toBe(false);
    expect(crypto.verify(new Uint8Array(32).fill(255), message, signature)).toBe(false);
    expect(crypto.verify(key.publicKey, message, signature.slice(1))).toBe(false);
  });

  test("refuses peers of low order", () => {
    const key = crypto.agreementKey(new Uint8Array(32).fill(9));
    expect(key.agree(new Uint8Array(32))).toBeNull();
    expect(key.agree(new Uint8Array(32).with(0, 1))).toBeNull();
    expect(key.agree(new Uint8Array(31))).toBeNull();
  });
});

describe("node:crypto and its slow twin", () => {
  test("hash, derive, agree and sign alike", () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), bytes(0, 200), bytes(0, 40), (a, b, message, salt) => {
        expect(node.sha256(message, a)).toEqual(referenceCrypto.sha256(message, a));
        expect(node.hkdfSha256(a, salt, message, 48)).toEqual(referenceCrypto.hkdfSha256(a, salt, message, 48));
        const [fast, slow] = [node.agreementKey(a), referenceCrypto.agreementKey(a)];
        expect(fast.publicKey).toEqual(slow.publicKey);
        const peer = referenceCrypto.agreementKey(b).publicKey;
        expect(fast.agree(peer)).toEqual(slow.agree(peer));
        expect(node.signingKey(a).sign(message)).toEqual(referenceCrypto.signingKey(a).sign(message));
      }),
      { numRuns: 12 },
    );
  });

  test("stream and seal alike, however the stream is cut", () => {
    fc.assert(
      fc.property(
        bytes(32),
        bytes(12),
        bytes(0, 100),
        bytes(0, 30),
        fc.array(fc.integer({ min: 0, max: 5 })),
        (key, nonce, text, associated, cuts) => {
          const [fast, slow] = [node.maskStream(key), referenceCrypto.maskStream(key)];
          for (const blocks of [...cuts, 3])
            expect(Uint8Array.from(fast.next(blocks * 16))).toEqual(slow.next(blocks * 16));
          expect(Uint8Array.from(fast.next(7))).toEqual(slow.next(7));
          const sealed = seal(node, key, nonce, text, associated);
          expect(sealed).toEqual(seal(referenceCrypto, key, nonce, text, associated));
          expect(node.aeadOpen(key, nonce, sealed, associated)).toEqual(text);
          const flipped = sealed.with(sealed.length - 1, (sealed.at(-1) as number) ^ 1);
          expect(node.aeadOpen(key, nonce, flipped, associated)).toBeNull();
          expect(node.aeadOpen(key, nonce, sealed.slice(0, 15), associated)).toBeNull();
        },
      ),
      { numRuns: 25 },
    );
  });

  test("the operating system's randomness does not repeat", () => {
    const random = systemRandom();
    expect(random.bytes(32)).not.toEqual(random.bytes(32));
  });
});
