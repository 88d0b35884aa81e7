/**
 * Who belongs to the federation, kept in memory beside the store so that a thousand reconnects need no query. The only
 * writer of clients while the coordinator runs.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { EnrolledClient, FederationStore } from "../store/port.ts";

export class Members {
  readonly #store: FederationStore;
  readonly #clients: Map<ClientName, EnrolledClient>;
  readonly #onChange = new Set<(client: EnrolledClient) => void>();

  private constructor(store: FederationStore, clients: readonly EnrolledClient[]) {
    this.#store = store;
    this.#clients = new Map(clients.map((client) => [client.name, client]));
  }

  static async load(store: FederationStore): Promise<Members> {
    return new Members(store, await store.clients());
  }

  all(): EnrolledClient[] {
    return [...this.#clients.values()];
  }

  get(name: string): EnrolledClient | null {
    return this.#clients.get(name as ClientName) ?? null;
  }

  /**
   * The client, if it may connect; throws AUTH_UNKNOWN_CLIENT, CERTIFICATE_REVOKED, AUTH_PENDING.
   */
  admit(name: string): EnrolledClient {
    const client = this.get(name);
    if (client === null) throw new CodedError("AUTH_UNKNOWN_CLIENT", `no client ${name} is enrolled`, { client: name });
    if (client.revoked) {
      throw new CodedError("CERTIFICATE_REVOKED", `the membership of ${name} was revoked`, { client: name });
    }
    if (client.certificate === null) {
      throw new CodedError("AUTH_PENDING", `the authority has not signed the membership of ${name} yet`, {
        client: name,
      });
    }
    return client;
  }

  /** Redeems an invitation; throws the store's TOKEN_ codes. */
  async redeem(tokenHash: Sha256, now: number, client: EnrolledClient): Promise<void> {
    await this.#store.redeem(tokenHash, now, client);
    this.#changed(client);
  }

  async update(client: EnrolledClient): Promise<void> {
    await this.#store.putClient(client);
    this.#changed(client);
  }

  /** Called after every change; returns how to stop listening. */
  onChange(listener: (client: EnrolledClient) => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  #changed(client: EnrolledClient): void {
    this.#clients.set(client.name, client);
    for (const listener of this.#onChange) listener(client);
  }
}
