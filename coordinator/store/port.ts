/**
 * What a federation keeps. Implementations: memory (simulation), Prisma + files (deployment). A promise resolves
 * only when the data survives kill -9 and power loss.
 */
import type { ClientName, Sha256 } from "../../shared/ids.ts";

export interface EnrolledClient {
  readonly name: ClientName;
  /** ed25519 public key, hex. */
  readonly signingKey: Sha256;
  /** Canonical JSON of the membership certificate; null while the offline authority has not signed. */
  readonly certificate: string | null;
  readonly enrolledAt: number;
  readonly revoked: boolean;
}

export interface Invitation {
  /** SHA-256 of the token; the token itself is never stored. */
  readonly tokenHash: Sha256;
  readonly name: ClientName;
  readonly expiresAt: number;
  readonly usedAt: number | null;
}

export interface RoundRecord {
  readonly round: number;
  /** Canonical JSON of the round's report entry (report.json `rounds[]`). */
  readonly report: string;
}

export interface VersionRecord {
  readonly version: number;
  /** Canonical JSON of the signed chain link. */
  readonly link: string;
  /** Signed manifest bytes, once released. */
  readonly manifest: Uint8Array | null;
}

export interface FederationStore {
  /** Appends to the event log; sequence numbers rise by one. */
  append(events: readonly string[]): Promise<void>;
  /** The snapshot last saved (null at the beginning) and the events appended after it, in order. */
  recover(): Promise<{ snapshot: string | null; events: string[] }>;
  /** Replaces the snapshot and drops the events it covers, in one transaction. */
  snapshot(state: string): Promise<void>;

  clients(): Promise<EnrolledClient[]>;
  putClient(client: EnrolledClient): Promise<void>;
  putInvitation(invitation: Invitation): Promise<void>;
  /**
   * Marks the invitation and all others of its name used and stores the client, in one transaction; throws TOKEN_INVALID,
   * TOKEN_EXPIRED, TOKEN_USED.
   */
  redeem(tokenHash: Sha256, now: number, client: EnrolledClient): Promise<void>;

  putRound(record: RoundRecord): Promise<void>;
  rounds(): Promise<RoundRecord[]>;
  putVersion(record: VersionRecord): Promise<void>;
  versions(): Promise<VersionRecord[]>;
  close(): Promise<void>;
}

/** Bytes under their SHA-256. */
export interface BlobStore {
  /** Durable when resolved. Throws STORE_FULL. */
  put(bytes: Uint8Array): Promise<Sha256>;
  has(hash: Sha256): Promise<boolean>;
  /** Whole; throws STORE_CORRUPT when the bytes do not match. */
  get(hash: Sha256): Promise<Uint8Array>;
  /** In order, in chunks of at most 1 MB. */
  /** @param memory where a chunk may lie until the next is asked for; left out: each has memory of its own */
  read(hash: Sha256, memory?: Uint8Array): AsyncIterable<Uint8Array>;
  delete(hash: Sha256): Promise<void>;
}
