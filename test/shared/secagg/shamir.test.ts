import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { combine as libraryCombine, split as librarySplit } from "shamir-secret-sharing";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { combine, split } from "../../../shared/secagg/shamir.ts";
import { fixedSecureRng } from "../../fakes/secagg.ts";

const crypto = new NodeCrypto();
const secretBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** The library's shares are the value followed by its point; it insists on Uint8Arrays of its own realm. */
const withPoint = (share: Uint8Array, point: number) => Uint8Array.from([...share, point]);

describe("secret sharing", () => {
  test("any threshold of shares gives the secret back, here and in the library", async () => {
    await fc.assert(
      fc.asyncProperty(secretBytes, fc.integer({ min: 2, max: 12 }), fc.nat(), async (secret, threshold, seed) => {
        const points = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 255];
        const shares = split(fixedSecureRng(crypto, String(seed)), secret, points, threshold);
        const chosen = [...points.keys()].toSorted((a, b) => ((a * seed) % 13) - ((b * seed) % 13)).slice(0, threshold);
        const at = chosen.map((i) => points[i] as number);
        const values = chosen.map((i) => shares[i] as Uint8Array);
        expect(combine(at, values)).toEqual(secret);
        expect([...(await libraryCombine(values.map((v, i) => withPoint(v, at[i] as number))))]).toEqual([...secret]);
      }),
      { numRuns: 60 },
    );
  });

  test("shares are the values of the polynomial whose coefficients are drawn one after the other", () => {
    const times = (a: number, b: number): number => {
      let product = 0;
      for (let power = a, bits = b; bits > 0; bits >>= 1) {
        if (bits & 1) product ^= power;
        power = power & 128 ? ((power << 1) ^ 0x11b) & 255 : power << 1;
      }
      return product;
    };
    fc.assert(
      fc.property(secretBytes, fc.integer({ min: 2, max: 90 }), fc.nat(), (secret, threshold, seed) => {
        const points = Array.from({ length: 117 }, (_, i) => i + 1 + (seed % 139));
        const shares = split(fixedSecureRng(crypto, String(seed)), secret, points, threshold);
        const random = fixedSecureRng(crypto, String(seed));
        const coefficients = [secret, ...Array.from({ length: threshold - 1 }, () => random.bytes(32))];
        for (const [i, point] of points.entries()) {
          const at = (byte: number) => coefficients.reduceRight((sum, c) => times(sum, point) ^ (c[byte] as number), 0);
          expect(shares[i]?.[seed % 32]).toBe(at(seed % 32));
        }
      }),
      { numRuns: 30 },
    );
  });

  test("reads the library's shares", async () => {
    const secret = new Uint8Array(32).map((_, i) => i * 7);
    const shares = await librarySplit(secret, 9, 6);
    const six = shares.slice(2, 8);
    expect(
      combine(
        six.map((share) => share[32] as number),
        six.map((share) => Uint8Array.from(share.subarray(0, 32))),
      ),
    ).toEqual(secret);
  });

  test("fewer shares than the threshold fit every secret", () => {
    // With t - 1 shares fixed, each possible value of a further one leads to another secret: nothing is excluded.
    const secret = new Uint8Array(32).fill(42);
    const shares = split(fixedSecureRng(crypto, "x"), secret, [1, 2, 3], 3);
    const secrets = new Set<number>();
    for (let guess = 0; guess < 256; guess++) {
      const third = new Uint8Array(32).fill(guess);
      secrets.add(combine([1, 2, 3], [shares[0] as Uint8Array, shares[1] as Uint8Array, third])[0] as number);
    }
    expect(secrets.size).toBe(256);
  });

  test("shares of one secret do not repeat", () => {
    const random = fixedSecureRng(crypto, "y");
    const secret = new Uint8Array(32);
    expect(split(random, secret, [1, 2], 2)).not.toEqual(split(random, secret, [1, 2], 2));
  });

  test("refuses what is no sharing", () => {
    const random = fixedSecureRng(crypto, "z");
    const secret = new Uint8Array(32);
    expect(() => split(random, secret, [1, 2, 3], 1)).toThrow(RangeError);
    expect(() => split(random, secret, [1, 2, 3], 4)).toThrow(RangeError);
    expect(() => split(random, secret, [0, 1], 2)).toThrow(RangeError);
    expect(() => split(random, secret, [1, 256], 2)).toThrow(RangeError);
    expect(() => split(random, secret, [1, 1], 2)).toThrow(RangeError);
    expect(() => split(random, new Uint8Array(31), [1, 2], 2)).toThrow(RangeError);
    expect(() => combine([3, 3], [secret, secret])).toThrow(RangeError);
  });
});
