import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import type { ErrorCode } from "../../../shared/errors.ts";
import {
  issueCertificate,
  issueRevocationList,
  verifyCertificate,
  verifyRevocationList,
} from "../../../shared/secagg/certificate.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import {
  COORDINATOR,
  EVERYONE,
  MAX_PAYLOAD,
  openSigned,
  parsePayload,
  sign,
  signedStep,
  verifyStatement,
  type SignedStep,
} from "../../../shared/secagg/signed.ts";
import { fakeFederation, fakeSession, NOW } from "../../fakes/secagg.ts";

const fed = fakeFederation(2);
const { crypto, trust } = fed;
const session = fakeSession(fed);
const client = fed.clients[0]!;
const heading = { step: "masked-input", sender: client.name, recipient: COORDINATOR } as const;
const message = sign(crypto, client.signingKey, session, heading, JSON.stringify({ words: 3 }));
const key = client.signingKey.publicKey;

function code(act: () => unknown): ErrorCode | null {
  try {
    act();
  } catch (error) {
    return (error as { code: ErrorCode }).code;
  }
  return null;
}

describe("a signed step", () => {
  test("opens as it was signed, and matches its schema", () => {
    expect(openSigned(crypto, key, session, heading, message)).toBe('{"words":3}');
    expect(signedStep.parse(JSON.parse(JSON.stringify(message)))).toEqual(message);
  });

  test.each<[keyof SignedStep, unknown, ErrorCode]>([
    ["federation", "0".repeat(64), "SECAGG_SESSION"],
    ["sid", "0".repeat(64), "SECAGG_SESSION"],
    ["purpose", "evaluation", "SECAGG_SESSION"],
    ["round", 2, "SECAGG_SESSION"],
    ["attempt", 1, "SECAGG_SESSION"],
    ["step", "unmask", "SECAGG_SESSION"],
    ["sender", "site-02", "SECAGG_SESSION"],
    ["recipient", EVERYONE, "SECAGG_SESSION"],
    ["payload", '{"words":4}', "SECAGG_SIGNATURE"],
    ["signature", toBase64(new Uint8Array(64)), "SECAGG_SIGNATURE"],
  ])("a changed %s is noticed", (field, value, expected) => {
    const changed = { ...message, [field]: value } as SignedStep;
    expect(code(() => openSigned(crypto, key, session, heading, changed))).toBe(expected);
  });

  test("a statement does not verify in any other session, step, sender or recipient", () => {
    const other = fed.clients[1]!.name;
    const sessions = [
      fakeSession(fed, { attempt: 1 }),
      fakeSession(fed, { round: 2 }),
      fakeSession(fed, { purpose: "evaluation" }),
      fakeSession(fed, { configHash: session.parentHash }),
    ];
    for (const wrong of sessions) {
      expect(code(() => verifyStatement(crypto, key, wrong, heading, message))).toBe("SECAGG_SIGNATURE");
    }
    for (const change of [{ step: "unmask" as const }, { sender: other }, { recipient: other }]) {
      const wrong = { ...heading, ...change };
      expect(code(() => verifyStatement(crypto, key, session, wrong, message))).toBe("SECAGG_SIGNATURE");
    }
  });

  test("any flipped bit of the signature is noticed", () => {
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const bytes = Buffer.from(message.signature, "base64url");
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        const changed = { ...message, signature: bytes.toString("base64url") };
        expect(code(() => openSigned(crypto, key, session, heading, changed))).toBe("SECAGG_SIGNATURE");
      }),
      { numRuns: 64 },
    );
  });

  test("the schema refuses what is malformed", () => {
    const wrong: Record<string, unknown>[] = [
      { sid: "A".repeat(64) },
      { round: -1 },
      { attempt: 0.5 },
      { step: "steal" },
      { sender: "Site 1" },
      { recipient: "@nobody" },
      { signature: message.signature.slice(1) },
      { payload: "x".repeat(MAX_PAYLOAD + 1) },
      { extra: 1 },
    ];
    for (const change of wrong) expect(signedStep.safeParse({ ...message, ...change }).success).toBe(false);
  });

  test("payloads are parsed by their schema", () => {
    const schema = z.strictObject({ words: z.int() });
    expect(parsePayload(schema, heading, message.payload)).toEqual({ words: 3 });
    expect(code(() => parsePayload(schema, heading, '{"words":"3"}'))).toBe("WIRE_INVALID");
    expect(code(() => parsePayload(schema, heading, '{"words":3'))).toBe("WIRE_INVALID");
  });
});

describe("certificates", () => {
  const { signature, ...fields } = client.certificate;

  test("give the client's key while they are valid", () => {
    expect(verifyCertificate(crypto, trust, client.certificate, NOW)).toEqual(key);
    const valid = (change: object, revoked: string[] = [], now = NOW) =>
      code(() =>
        verifyCertificate(crypto, { ...trust, revoked: new Set(revoked) }, { ...client.certificate, ...change }, now),
      );
    expect(valid({})).toBeNull();
    expect(valid({}, [], client.certificate.expiresAt)).toBe("CERTIFICATE_EXPIRED");
    expect(valid({}, [client.certificate.serial])).toBe("CERTIFICATE_REVOKED");
    expect(valid({}, ["f".repeat(16)])).toBeNull();
    expect(valid({ federation: "0".repeat(64) })).toBe("CERTIFICATE_INVALID");
    const other = fed.clients[1]!.certificate;
    for (const change of [
      { name: "site-02" },
      { key: other.key },
      { issuedAt: 0 },
      { expiresAt: fields.expiresAt + 1 },
      { serial: other.serial },
      { signature: other.signature },
    ]) {
      expect(valid(change)).toBe("CERTIFICATE_INVALID");
    }
    expect(issueCertificate(fed.authority, fields).signature).toBe(signature);
  });

  test("of the same name under another authority belong to another federation", () => {
    const stranger = crypto.signingKey(new Uint8Array(32).fill(1));
    const forged = issueCertificate(stranger, fields);
    expect(code(() => verifyCertificate(crypto, trust, forged, NOW))).toBe("CERTIFICATE_INVALID");
  });

  test("revocation lists are the authority's", () => {
    const { federation } = client.certificate;
    const list = issueRevocationList(fed.authority, { federation, version: 3, serials: [fields.serial] });
    const verify = (change: object) => () =>
      verifyRevocationList(crypto, federation, trust.authorityKey, { ...list, ...change });
    expect(verify({})()).toEqual(new Set([fields.serial]));
    expect(code(verify({ serials: [] }))).toBe("CERTIFICATE_INVALID");
    expect(code(verify({ version: 4 }))).toBe("CERTIFICATE_INVALID");
    expect(code(verify({ federation: "0".repeat(64) }))).toBe("CERTIFICATE_INVALID");
  });
});
