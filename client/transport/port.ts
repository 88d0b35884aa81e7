/** What a client's session needs from a connection; sockets in deployment, memory in simulation. */
import type { ClientMessage, CoordinatorMessage } from "../../shared/wire/messages.ts";
import type { ChainLink, BlobRef } from "../../shared/wire/release.ts";
import type { Sha256 } from "../../shared/ids.ts";

export interface ClientTransportEvents {
  connected(): void;
  disconnected(reason: string): void;
  message(message: CoordinatorMessage): void;
}

export interface ClientTransport {
  /** Connects and reconnects for ever, until `close`. */
  open(events: ClientTransportEvents): void;
  /** Resolves when the coordinator has it durably; rejects with the coordinator's coded error, or DISCONNECTED. */
  send(message: ClientMessage): Promise<void>;
  /** Resumable; resolves when the bytes are durable at the coordinator under this hash for this sid. */
  upload(sid: Sha256, hash: Sha256, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Resumable and checked against the hash; throws WIRE_HASH. */
  download(ref: BlobRef, signal: AbortSignal): Promise<Uint8Array>;
  /** Links that lead from `after` (-1: from nothing) to the newest version, beginning with a keyframe if needed. */
  chain(after: number, signal: AbortSignal): Promise<ChainLink[]>;
  /** The signed manifest of a release, as its exact bytes. */
  manifest(version: number, signal: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}
