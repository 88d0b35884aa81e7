/**
 * What every party derives from the advertised keys in the same way: positions (points of secret sharing), the
 * digest of the roster, and the digest that survivors sign in the consistency check.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { CodedError } from "../errors.ts";
import type { ClientName, Sha256 } from "../ids.ts";
import { verifyCertificate, type Trust } from "./certificate.ts";
import type { CryptoPort } from "./crypto-port.ts";
import { compareNames, encodeTuple, fromBase64 } from "./encoding.ts";
import { advertiseKeys, type AdvertiseKeys, type Consistency } from "./messages.ts";
import type { Session } from "./session.ts";
import { COORDINATOR, parsePayload, verifyStatement, type Statement } from "./signed.ts";

/** One client that advertised keys, everything about it verified. */
export interface Member {
  readonly name: ClientName;
  readonly signingKey: Uint8Array;
  readonly boxKey: Uint8Array;
  readonly maskKey: Uint8Array;
  /** Commitment to its self-mask seed. */
  readonly selfMask: Uint8Array;
}

/** The advertised members, sorted by name. */
export interface Members {
  readonly list: readonly Member[];
  readonly byName: ReadonlyMap<string, Member>;
  readonly digest: Uint8Array;
}

/** Checks one advertisement: its certificate, that the certificate is the sender's, and its signature. */
export function verifyAdvertisement(
  crypto: CryptoPort,
  trust: Trust,
  session: Session,
  entry: Statement,
  nowMs: number,
): { advertised: AdvertiseKeys; signingKey: Uint8Array } {
  const heading = { step: "advertise-keys", sender: entry.sender, recipient: COORDINATOR } as const;
  // The certificate is inside the payload that its key signs: parsed first, trusted only when both hold.
  const advertised = parsePayload(advertiseKeys, heading, entry.payload);
  const signingKey = verifyCertificate(crypto, trust, advertised.certificate, nowMs);
  if (advertised.certificate.name !== entry.sender) {
    throw new CodedError("CERTIFICATE_INVALID", `${entry.sender} shows the certificate of another client`, {
      client: entry.sender,
      certificate: advertised.certificate.name,
    });
  }
  verifyStatement(crypto, signingKey, session, heading, entry);
  return { advertised, signingKey };
}

/**
 * Verifies a whole roster. Besides the errors of one advertisement: SECAGG_ROSTER_DUPLICATE when a name or key
 * stands twice or the entries are not sorted by name.
 */
export function openRoster(
  crypto: CryptoPort,
  trust: Trust,
  session: Session,
  entries: readonly Statement[],
  nowMs: number,
): Members {
  const list: Member[] = [];
  const seen = new Set<string>();
  for (const [i, entry] of entries.entries()) {
    const { advertised, signingKey } = verifyAdvertisement(crypto, trust, session, entry, nowMs);
    const before = entries[i - 1];
    const keys = [advertised.certificate.key, advertised.boxKey, advertised.maskKey, advertised.selfMask];
    if ((before && compareNames(before.sender, entry.sender) >= 0) || keys.some((key) => seen.has(key))) {
      throw new CodedError("SECAGG_ROSTER_DUPLICATE", `${entry.sender} or one of its keys is in the roster twice`, {
        client: entry.sender,
      });
    }
    for (const key of keys) seen.add(key);
    list.push({
      name: entry.sender,
      signingKey,
      boxKey: fromBase64(advertised.boxKey) as Uint8Array,
      maskKey: fromBase64(advertised.maskKey) as Uint8Array,
      selfMask: fromBase64(advertised.selfMask) as Uint8Array,
    });
  }
  return { list, byName: new Map(list.map((member) => [member.name, member])), digest: rosterDigest(crypto, list) };
}

function rosterDigest(crypto: CryptoPort, list: readonly Member[]): Uint8Array {
  const parts = list.flatMap((m) => [m.name, m.signingKey, m.boxKey, m.maskKey, m.selfMask]);
  return crypto.sha256(encodeTuple("allulook/roster/v1", ...parts));
}

/** Who shared keys, as one client was told: with its masked input it signs whom it made masks with. */
export function sharersDigest(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  sharers: readonly ClientName[],
): Sha256 {
  const bytes = encodeTuple("allulook/sharers/v1", hexToBytes(session.sid), members.digest, ...sharers);
  return bytesToHex(crypto.sha256(bytes)) as Sha256;
}

/** A survivor and the SHA-256 of its masked vector. */
export interface MaskedHash {
  readonly name: ClientName;
  readonly hash: Sha256;
}

/** What the survivors sign: roster, who shared keys, and who survived with which masked input. Lists sorted by name. */
export function consistencyDigest(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  sharers: readonly ClientName[],
  survivors: readonly MaskedHash[],
): Sha256 {
  const bytes = encodeTuple(
    "allulook/consistency/v1",
    hexToBytes(session.sid),
    members.digest,
    sharers.length,
    ...sharers,
    survivors.length,
    ...survivors.flatMap(({ name, hash }) => [name, hexToBytes(hash)]),
  );
  return bytesToHex(crypto.sha256(bytes)) as Sha256;
}

/** The payload of a consistency signature: everyone can write it down for everyone else. */
export function consistencyPayload(digest: Sha256): string {
  return JSON.stringify({ digest } satisfies Consistency);
}
