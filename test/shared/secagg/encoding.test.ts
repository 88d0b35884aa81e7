import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { encodeTuple, equalBytes, fromBase64, toBase64 } from "../../../shared/secagg/encoding.ts";
import { openSession, type SessionContext } from "../../../shared/secagg/session.ts";
import { fakeFederation, fakeSession, hash } from "../../fakes/secagg.ts";

const part = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.nat({ max: 300 }),
  fc.uint8Array({ maxLength: 5 }),
  fc.constantFrom("", "a", "aa", 0, 1, new Uint8Array(0), new Uint8Array([97])),
);

describe("tuples", () => {
  test("different tuples have different encodings", () => {
    const shape = (tuple: readonly unknown[]) =>
      JSON.stringify(tuple.map((p) => (p instanceof Uint8Array ? ["bytes", ...p] : [typeof p, p])));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), fc.array(part, { maxLength: 4 }), (a, b) => {
        expect(equalBytes(encodeTuple(...a), encodeTuple(...b))).toBe(shape(a) === shape(b));
      }),
      { numRuns: 2000 },
    );
  });

  test("are encoded part by part, whatever characters a text has", () => {
    const plain = (value: string | number | Uint8Array): Buffer => {
      const number = Buffer.alloc(8);
      if (typeof value === "number") number.writeBigUInt64BE(BigInt(value));
      const body = typeof value === "number" ? number : Buffer.from(value as string);
      const head = Buffer.from([typeof value === "number" ? 2 : typeof value === "string" ? 1 : 3, 0, 0, 0, 0]);
      head.writeUInt32BE(body.length, 1);
      return Buffer.concat([head, body]);
    };
    const any = fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.maxSafeNat(), fc.uint8Array());
    fc.assert(
      fc.property(fc.array(any, { maxLength: 6 }), (tuple) => {
        expect(Buffer.from(encodeTuple(...tuple))).toEqual(Buffer.concat(tuple.map(plain)));
      }),
      { numRuns: 500 },
    );
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 53])("%s is no number of the protocol", (value) => {
    expect(() => encodeTuple(value)).toThrow(RangeError);
  });
});

describe("base64url", () => {
  test("agrees with Node's, both ways", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
    );
  });

  test.each(["A", "AB=", "A+", "AB", "AAB"])("%j is no canonical encoding", (text) => {
    expect(fromBase64(text)).toBeNull();
  });
});

describe("the session id", () => {
  test("changes with every field of the context", () => {
    const fed = fakeFederation(1);
    const session = fakeSession(fed);
    const other = hash(fed.crypto, "other");
    const changes: Partial<SessionContext>[] = [
      { federation: other },
      { purpose: "evaluation" },
      { round: 2 },
      { attempt: 1 },
      { parentHash: other },
      { configHash: other },
      { previousTranscriptDigest: other },
    ];
    const ids = changes.map((change) => openSession(new NodeCrypto(), { ...session, ...change }).sid);
    expect(new Set([session.sid, ...ids]).size).toBe(changes.length + 1);
  });
});
