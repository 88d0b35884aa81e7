/**
 * Both transport ports within one process, for simulation and tests: messages are handed over as they are, in order, each
 * in a turn of its own; vectors go into the coordinator's blob store without a copy. A connection can be cut and a
 * client is told so, as over a network.
 */
import type { ClientTransport, ClientTransportEvents } from "../client/transport/port.ts";
import type { MemoryBlobs } from "../coordinator/store/memory.ts";
import type { CoordinatorTransport, CoordinatorTransportEvents } from "../coordinator/transport/port.ts";
import { CodedError } from "../shared/errors.ts";
import type { ClientName, Sha256 } from "../shared/ids.ts";
import type { ClientMessage, CoordinatorMessage } from "../shared/wire/messages.ts";
import type { BlobRef, ChainLink } from "../shared/wire/release.ts";

export interface InMemoryOptions {
  readonly blobs: MemoryBlobs;
  /** Where vectors go; by default with the blobs. */
  readonly vectors?: Pick<MemoryBlobs, "adopt">;
  /** Count message bytes, too; costs a serialisation each. Vectors are always counted. */
  readonly countMessages?: boolean;
  /** May change or drop (null) what passes, as a bad network or a bad party would. */
  readonly toCoordinator?: (client: ClientName, message: ClientMessage) => ClientMessage | null;
  readonly toClient?: (client: ClientName, message: CoordinatorMessage) => CoordinatorMessage | null;
}

export class InMemoryNetwork {
  readonly #options: InMemoryOptions;
  readonly #connections = new Map<ClientName, Connection>();
  #events: CoordinatorTransportEvents | null = null;
  #upload = 0;
  #download = 0;

  constructor(options: InMemoryOptions) {
    this.#options = options;
  }

  /** The coordinator's end; after `stop` another one may start, as a restarted process would. */
  coordinator(): CoordinatorTransport {
    return {
      start: async (events) => {
        this.#events = events;
        for (const connection of this.#connections.values()) connection.up();
      },
      send: (client, message) => {
        const passed = this.#options.toClient === undefined ? message : this.#options.toClient(client, message);
        if (passed === null) return;
        if (this.#options.countMessages === true) this.#download += JSON.stringify(passed).length;
        this.#connections.get(client)?.deliver(passed);
      },
      traffic: () => ({ upload: this.#upload, download: this.#download }),
      stop: async () => {
        this.#events = null;
        for (const connection of this.#connections.values()) connection.down("the coordinator stopped");
      },
    };
  }

  /** One client's end. */
  client(name: ClientName): ClientTransport {
    const connection = new Connection(name, () => this.#events);
    return {
      open: (events) => {
        this.#connections.get(name)?.down("another connection of this client");
        this.#connections.set(name, connection);
        connection.open(events);
      },
      send: async (message) => {
        const events = connection.required();
        const passed = this.#options.toCoordinator === undefined ? message : this.#options.toCoordinator(name, message);
        if (passed === null) throw disconnected();
        if (this.#options.countMessages === true) this.#upload += JSON.stringify(passed).length;
        await connection.guard(events.message(name, passed));
      },
      upload: (sid, hash, bytes, signal) => this.#receive(connection, sid, hash, bytes, signal),
      download: (ref, signal) => this.#give(connection, ref, signal),
      chain: async (after, signal): Promise<ChainLink[]> => {
        signal.throwIfAborted();
        return connection.guard(connection.required().chain(after));
      },
      manifest: async (version, signal) => {
        signal.throwIfAborted();
        const manifest = await connection.guard(connection.required().manifest(version));
        if (manifest === null) throw new CodedError("NOT_FOUND", `version ${version} is not released`, { version });
        return manifest;
      },
      close: async () => {
        if (this.#connections.get(name) === connection) this.#connections.delete(name);
        connection.close();
      },
    };
  }

  /** Counts what would have been downloaded, had it not been in this process already. */
  spared(bytes: number): void {
    this.#download += bytes;
  }

  /** Cuts a client's connection; it comes back with {@link reconnect}. */
  cut(name: ClientName): void {
    this.#connections.get(name)?.down("the connection was cut");
  }

  reconnect(name: ClientName): void {
    this.#connections.get(name)?.up();
  }

  /** A message as if from this client, past its session. */
  async say(name: ClientName, message: ClientMessage): Promise<void> {
    if (this.#events === null) throw disconnected();
    await this.#events.message(name, message);
  }

  /** The client's process is gone: nothing it still says arrives. */
  forget(name: ClientName): void {
    this.cut(name);
    this.#connections.delete(name);
  }

  async #receive(
    connection: Connection,
    sid: Sha256,
    hash: Sha256,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const events = connection.required();
    const limit = events.uploadLimit(connection.name, sid, hash);
    if (limit === null) {
      throw new CodedError("UPLOAD_REFUSED", "this upload is not expected", { client: connection.name, hash });
    }
    if (bytes.length > limit) {
      throw new CodedError("WIRE_OVERSIZE", `${bytes.length} bytes, at most ${limit} are expected`, {
        got: bytes.length,
      });
    }
    this.#upload += bytes.length;
    (this.#options.vectors ?? this.#options.blobs).adopt(hash, bytes);
    await connection.guard(events.uploaded(connection.name, sid, hash, bytes.length));
  }

  async #give(connection: Connection, ref: BlobRef, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    connection.required();
    if (!(await this.#options.blobs.has(ref.sha256))) {
      throw new CodedError("NOT_FOUND", `there is no blob ${ref.sha256}`, { hash: ref.sha256 });
    }
    const bytes = await this.#options.blobs.get(ref.sha256);
    this.#download += bytes.length;
    return bytes;
  }
}

class Connection {
  readonly name: ClientName;
  readonly #coordinator: () => CoordinatorTransportEvents | null;
  readonly #waiting = new Set<(error: unknown) => void>();
  #client: ClientTransportEvents | null = null;
  #isUp = false;

  constructor(name: ClientName, coordinator: () => CoordinatorTransportEvents | null) {
    this.name = name;
    this.#coordinator = coordinator;
  }

  open(client: ClientTransportEvents): void {
    this.#client = client;
    this.up();
  }

  up(): void {
    const events = this.#coordinator();
    if (this.#isUp || this.#client === null || events === null) return;
    this.#isUp = true;
    this.#client.connected();
    events.connected(this.name);
  }

  down(reason: string): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    for (const reject of this.#waiting) reject(disconnected());
    this.#waiting.clear();
    this.#client?.disconnected(reason);
    this.#coordinator()?.disconnected(this.name);
  }

  close(): void {
    this.down("closed");
    this.#client = null;
  }

  /** In a later turn, as from a network, and not at all when the connection is down by then. */
  deliver(message: CoordinatorMessage): void {
    if (!this.#isUp) return;
    queueMicrotask(() => {
      if (this.#isUp) this.#client?.message(message);
    });
  }

  /** An answer of the coordinator, or DISCONNECTED when the connection goes first. */
  guard<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      answer.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  required(): CoordinatorTransportEvents {
    const events = this.#coordinator();
    if (!this.#isUp || events === null) throw disconnected();
    return events;
  }
}

function disconnected(): CodedError {
  return new CodedError("DISCONNECTED", "there is no connection to the coordinator");
}
