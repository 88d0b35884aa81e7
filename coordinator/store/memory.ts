/** A store in memory, for simulation and tests: as durable as the process. Blobs are kept as they are, not copied. */
import { createHash } from "node:crypto";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import type { BlobStore, EnrolledClient, FederationStore, Invitation, RoundRecord, VersionRecord } from "./port.ts";

const CHUNK = 1 << 20;

/** All of a {@link MemoryStore} as plain data. */
export interface SavedStore {
  readonly snapshot: string | null;
  readonly events: readonly string[];
  readonly clients: readonly EnrolledClient[];
  readonly invitations: readonly Invitation[];
  readonly rounds: readonly RoundRecord[];
  readonly versions: readonly VersionRecord[];
}

export class MemoryStore implements FederationStore {
  #snapshot: string | null = null;
  #events: string[] = [];
  readonly #clients = new Map<string, EnrolledClient>();
  readonly #invitations = new Map<string, Invitation>();
  readonly #rounds = new Map<number, RoundRecord>();
  readonly #versions = new Map<number, VersionRecord>();

  async append(events: readonly string[]): Promise<void> {
    this.#events.push(...events);
  }

  async recover(): Promise<{ snapshot: string | null; events: string[] }> {
    return { snapshot: this.#snapshot, events: [...this.#events] };
  }

  async snapshot(state: string): Promise<void> {
    this.#snapshot = state;
    this.#events = [];
  }

  async clients(): Promise<EnrolledClient[]> {
    return [...this.#clients.values()];
  }

  async putClient(client: EnrolledClient): Promise<void> {
    this.#clients.set(client.name, client);
  }

  async putInvitation(invitation: Invitation): Promise<void> {
    this.#invitations.set(invitation.tokenHash, invitation);
  }

  async redeem(tokenHash: Sha256, now: number, client: EnrolledClient): Promise<void> {
    const invitation = this.#invitations.get(tokenHash);
    if (invitation === undefined || invitation.name !== client.name) {
      throw new CodedError("TOKEN_INVALID", "there is no such invitation");
    }
    if (invitation.usedAt !== null) throw new CodedError("TOKEN_USED", "the invitation was used already");
    if (now >= invitation.expiresAt) throw new CodedError("TOKEN_EXPIRED", "the invitation has expired");
    // Whoever holds an older invitation of this name must not take its place.
    for (const [hash, other] of this.#invitations) {
      if (other.name === client.name && other.usedAt === null) this.#invitations.set(hash, { ...other, usedAt: now });
    }
    this.#clients.set(client.name, client);
  }

  async putRound(record: RoundRecord): Promise<void> {
    this.#rounds.set(record.round, record);
  }

  async rounds(): Promise<RoundRecord[]> {
    return [...this.#rounds.values()].toSorted((a, b) => a.round - b.round);
  }

  async putVersion(record: VersionRecord): Promise<void> {
    this.#versions.set(record.version, record);
  }

  async versions(): Promise<VersionRecord[]> {
    return [...this.#versions.values()].toSorted((a, b) => a.version - b.version);
  }

  async close(): Promise<void> {}

  /** Everything, for {@link MemoryStore.of}. */
  save(): SavedStore {
    return {
      snapshot: this.#snapshot,
      events: [...this.#events],
      clients: [...this.#clients.values()],
      invitations: [...this.#invitations.values()],
      rounds: [...this.#rounds.values()],
      versions: [...this.#versions.values()],
    };
  }

  /** A store that holds what another one held. */
  static of(saved: SavedStore): MemoryStore {
    const store = new MemoryStore();
    store.#snapshot = saved.snapshot;
    store.#events = [...saved.events];
    for (const client of saved.clients) store.#clients.set(client.name, client);
    for (const invitation of saved.invitations) store.#invitations.set(invitation.tokenHash, invitation);
    for (const record of saved.rounds) store.#rounds.set(record.round, record);
    for (const record of saved.versions) store.#versions.set(record.version, record);
    return store;
  }
}

export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<Sha256, Uint8Array>();

  async put(bytes: Uint8Array): Promise<Sha256> {
    const hash = createHash("sha256").update(bytes).digest("hex") as Sha256;
    this.#blobs.set(hash, bytes);
    return hash;
  }

  /** Takes bytes whose hash was computed in this process already. */
  adopt(hash: Sha256, bytes: Uint8Array): void {
    this.#blobs.set(hash, bytes);
  }

  /** All blobs, for `adopt` in another process. */
  entries(): [Sha256, Uint8Array][] {
    return [...this.#blobs];
  }

  async has(hash: Sha256): Promise<boolean> {
    return this.#blobs.has(hash);
  }

  async get(hash: Sha256): Promise<Uint8Array> {
    const bytes = this.#blobs.get(hash);
    if (bytes === undefined) throw new CodedError("STORE_CORRUPT", `there is no blob ${hash}`, { hash });
    return bytes;
  }

  async *read(hash: Sha256): AsyncIterable<Uint8Array> {
    const bytes = await this.get(hash);
    for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
  }

  async delete(hash: Sha256): Promise<void> {
    this.#blobs.delete(hash);
  }
}
