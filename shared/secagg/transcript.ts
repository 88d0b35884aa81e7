/**
 * What a session leaves behind for anyone to check afterwards: who advertised, who shared keys, who survived with which
 * masked input, who signed the list, who revealed, and what came of it; signed by the coordinator. Each names the
 * digest of the one before it, and the digest of the newest enters the next session's id, so that two views of one
 * session cannot both go on.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { canonicalJson, hashOf } from "../canonical.ts";
import { clientName, purpose, sha256Hex, type Purpose, type Sha256 } from "../ids.ts";
import { revocationList } from "./certificate.ts";
import type { CryptoPort, SigningKey } from "./crypto-port.ts";
import { encodeTuple, fromBase64, toBase64 } from "./encoding.ts";
import { sessionContext, type SessionContext } from "./session.ts";
import { base64Of, MAX_PAYLOAD, statement } from "./signed.ts";

const MAX_CLIENTS = 10_000;

/** A client's signed step of which only the payload's hash stands here: the signature covers no more of it. */
const digestStatement = z.strictObject({
  sender: clientName,
  /** SHA-256 of the payload's text. */
  payloadHash: sha256Hex,
  signature: base64Of(64),
});
export type DigestStatement = z.infer<typeof digestStatement>;

/** Share of a roster, as federation.yaml may have it. */
const rate = z.number().min(0).max(0.3);

const statements = z.array(statement.extend({ payload: z.string().max(MAX_PAYLOAD) })).max(MAX_CLIENTS);
const digests = z.array(digestStatement).max(MAX_CLIENTS);

/** Ties the sum of a session's masked inputs to all that was made of it. */
const result = z.strictObject({
  /** SHA-256 of the sum's words, little-endian. */
  sum: sha256Hex,
  /** Survivors whose sealed vector was unreadable; only where single vectors are visible. */
  rejected: z.array(clientName).max(MAX_CLIENTS),
  /** Of training: the server's state before and after the optimizer's step, and the version that was made of it. */
  commit: z
    .strictObject({
      serverStateBefore: sha256Hex,
      serverState: sha256Hex,
      version: z.int().min(0),
      paramsHash: sha256Hex,
      /** SHA-256 of the signed chain link's canonical JSON, which names the bytes of update and keyframe. */
      link: sha256Hex,
    })
    .nullable(),
});

const transcript = z.strictObject({
  schema: z.literal(1),
  session: sessionContext,
  sid: sha256Hex,
  /** The version that was trained from or scored. */
  version: z.int().min(0),
  /** Milliseconds since 1970. */
  startedAt: z.int().min(0),
  mode: z.enum(["malicious", "semi-honest", "off"]),
  minRoster: z.int().min(0),
  minSurvivors: z.int().min(0),
  /** Shares that give back a self mask, and a mask key; null while there was no roster, and where nothing is masked. */
  thresholds: z.strictObject({ selfMask: z.int(), maskKey: z.int() }).nullable(),
  /** From which rates the graph follows, where not everybody shared with everybody. */
  graph: z.strictObject({ dropoutRate: rate, corruptionRate: rate }).optional(),
  /** The authority's list when the session began; null: nobody was ever revoked. */
  revoked: revocationList.nullable(),
  invited: z.array(clientName).max(MAX_CLIENTS),
  /** The clients' signed statements, sorted by name. */
  advertised: statements,
  shared: digests,
  maskedInputs: statements,
  consistency: statements,
  revealed: digests,
  excluded: z.array(z.strictObject({ client: clientName, code: z.string().max(64) })).max(MAX_CLIENTS),
  /** By those who left because of other clients. */
  accusations: statements,
  outcome: z.enum(["completed", "failed", "void"]),
  reason: z.strictObject({ code: z.string().max(64), message: z.string() }).nullable(),
  /** What a completed session came to. */
  result: result.nullable(),
});
export type Transcript = Readonly<z.infer<typeof transcript>>;

/** A transcript as it is stored: `transcripts/NNNN-PURPOSE-ATTEMPT.json`, canonical JSON. */
export const transcriptFile = z.strictObject({
  transcript,
  digest: sha256Hex,
  /** The coordinator's Ed25519 key, and its signature over the digest. */
  signedBy: base64Of(32),
  signature: base64Of(64),
});
export type TranscriptFile = Readonly<z.infer<typeof transcriptFile>>;

// ---------------------------------------------------------------------------------------------- the chain

/** Where a session stands in the federation's history, and the hash of its transcript. */
const historyLink = z.strictObject({
  purpose,
  round: z.int().min(0),
  attempt: z.int().min(0),
  /** SHA-256 of the transcript's canonical JSON. */
  transcript: sha256Hex,
});
export type HistoryLink = Readonly<z.infer<typeof historyLink>>;

/** Links that an invitation shows: for so many sessions a client may be away and still compare what it was told. */
export const HISTORY_KEPT = 32;

/** The newest sessions that are over, oldest first, behind the digest before them. */
export const history = z.strictObject({ before: sha256Hex, links: z.array(historyLink).max(HISTORY_KEPT) });
export type History = z.infer<typeof history>;

/** The digest after a session: it covers the one before it, so that a list of links proves the way from one to the other. */
export function nextDigest(previous: Sha256, link: HistoryLink): Sha256 {
  const { purpose: why, round, attempt, transcript: hash } = link;
  const parts = encodeTuple("allulook/history/v1", hexToBytes(previous), why, round, attempt, hexToBytes(hash));
  return bytesToHex(sha256(parts)) as Sha256;
}

/** A transcript as a link of the history. */
export function linkOf(subject: Transcript): HistoryLink {
  const { purpose: why, round, attempt } = subject.session;
  return { purpose: why, round, attempt, transcript: hashOf(subject) };
}

/** The digest that enters the next session's id. */
export function transcriptDigest(subject: Transcript): Sha256 {
  return nextDigest(subject.session.previousTranscriptDigest, linkOf(subject));
}

/** The order of sessions: by round; its training attempts before its evaluation's. */
export function comparePlaces(a: Place, b: Place): number {
  const order = (place: Place) => (place.purpose === "training" ? 0 : 1);
  return a.round - b.round || order(a) - order(b) || a.attempt - b.attempt;
}
export type Place = Pick<SessionContext, "round" | "attempt"> & { readonly purpose: Purpose };

/** The name of a session's file, without its ending: `0003-training-1`. */
export function transcriptName({ round, purpose: why, attempt }: Place): string {
  return `${String(round).padStart(4, "0")}-${why}-${attempt}`;
}

/** What {@link transcriptName} names; null: no session. */
export function placeNamed(name: string): Place | null {
  const [, round, why, attempt] = /^(\d{4,})-(training|evaluation)-(\d+)$/.exec(name) ?? [];
  if (round === undefined) return null;
  return { purpose: why as Purpose, round: Number(round), attempt: Number(attempt) };
}

// ---------------------------------------------------------------------------------------------- the signature

function signedBytes(digest: Sha256): Uint8Array {
  return encodeTuple("allulook/transcript/v1", hexToBytes(digest));
}

/** The text of a transcript's file. */
export function signTranscript(key: SigningKey, subject: Transcript): string {
  const digest = transcriptDigest(subject);
  const signature = toBase64(key.sign(signedBytes(digest)));
  return canonicalJson({ transcript: subject, digest, signedBy: toBase64(key.publicKey), signature });
}

/** Whether the key it names has signed the digest it names. */
export function isTranscriptSigned(crypto: CryptoPort, file: TranscriptFile): boolean {
  const key = fromBase64(file.signedBy);
  const signature = fromBase64(file.signature);
  return key !== null && signature !== null && crypto.verify(key, signedBytes(file.digest), signature);
}
