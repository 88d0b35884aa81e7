/** What the driver needs from connections; socket.io and HTTP in deployment, memory in simulation. */
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { ClientMessage, CoordinatorMessage } from "../../shared/wire/messages.ts";
import type { ChainLink } from "../../shared/wire/release.ts";

export interface CoordinatorTransportEvents {
  /** The client has proven that it holds its enrolled key. A second connection replaces the first. */
  connected(client: ClientName): void;
  disconnected(client: ClientName): void;
  /** Already schema-checked. Resolves when durable (then the client is acknowledged); a CodedError goes back to it. */
  message(client: ClientName, message: ClientMessage): Promise<void>;
  /** May this client upload a blob with this hash for this sid now, and how large may it be? null: refused. */
  uploadLimit(client: ClientName, sid: Sha256, hash: Sha256): number | null;
  /** Durable upload finished and hash-checked; resolves when recorded. */
  uploaded(client: ClientName, sid: Sha256, hash: Sha256, bytes: number): Promise<void>;
  chain(after: number): Promise<ChainLink[]>;
  manifest(version: number): Promise<Uint8Array | null>;
}

export interface CoordinatorTransport {
  start(events: CoordinatorTransportEvents): Promise<void>;
  /** Best effort: what a client missed is sent again when it reconnects. */
  send(client: ClientName, message: CoordinatorMessage): void;
  /** Resolves when so little of what was sent is under way that more is welcome; null, or left out: it is now. */
  room?(): Promise<void> | null;
  /** Bytes received from and sent to clients since the start, where the transport counts them. */
  traffic?(): { upload: number; download: number };
  stop(): Promise<void>;
}
