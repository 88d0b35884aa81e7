/**
 * What one connection has been sent and has not acknowledged. A client that reads too slowly is disconnected rather
 * than buffered for without end: whatever it missed is sent again when it reconnects.
 */
import type { Socket } from "socket.io";
import { CodedError } from "../../shared/errors.ts";
import { MAX_MESSAGE_BYTES, type CoordinatorMessage } from "../../shared/wire/messages.ts";

const MAX_UNACKNOWLEDGED_BYTES = 4 * MAX_MESSAGE_BYTES;
const ACKNOWLEDGE_MS = 60_000;

/** Larger ones go out one in each turn of the event loop: a roster of 1,000 for 1,000 clients would hold it for many seconds. */
const LARGE_BYTES = 65_536;
const queue: (() => void)[] = [];

function inTurn(work: () => void): void {
  queue.push(work);
  if (queue.length === 1) setImmediate(turn);
}

function turn(): void {
  queue.shift()?.();
  if (queue.length > 0) setImmediate(turn);
}

/** The same message goes to many clients; it is measured once. */
const sizes = new WeakMap<CoordinatorMessage, number>();

export class Outbox {
  readonly #socket: Socket;
  readonly #stuck: (reason: string) => void;
  #bytes = 0;
  /** Messages that wait for their turn; what comes after them waits, too. */
  #waiting = 0;

  constructor(socket: Socket, stuck: (reason: string) => void) {
    this.#socket = socket;
    this.#stuck = stuck;
  }

  /** Throws WIRE_OVERSIZE for a message that the protocol does not allow. */
  send(message: CoordinatorMessage): void {
    const bytes = sizeOf(message);
    if (bytes > MAX_MESSAGE_BYTES) {
      throw new CodedError(
        "WIRE_OVERSIZE",
        `a ${message.type} message of ${bytes} bytes exceeds ${MAX_MESSAGE_BYTES}`,
        {
          type: message.type,
          bytes,
          limit: MAX_MESSAGE_BYTES,
        },
      );
    }
    if (bytes < LARGE_BYTES && this.#waiting === 0) {
      this.#emit(message, bytes);
      return;
    }
    this.#waiting += 1;
    inTurn(() => {
      this.#waiting -= 1;
      this.#emit(message, bytes);
    });
  }

  #emit(message: CoordinatorMessage, bytes: number): void {
    if (!this.#socket.connected) return;
    if (this.#bytes + bytes > MAX_UNACKNOWLEDGED_BYTES) {
      this.#stuck(`${this.#bytes} bytes are not acknowledged`);
      return;
    }
    this.#bytes += bytes;
    // Its own timer, because socket.io's would keep a stopping process alive.
    const timer = setTimeout(() => {
      if (this.#socket.connected) this.#stuck(`no acknowledgement within ${ACKNOWLEDGE_MS} ms`);
    }, ACKNOWLEDGE_MS);
    timer.unref();
    this.#socket.emit("message", message, () => {
      clearTimeout(timer);
      this.#bytes -= bytes;
    });
  }
}

function sizeOf(message: CoordinatorMessage): number {
  let bytes = sizes.get(message);
  if (bytes === undefined) {
    bytes = Buffer.byteLength(JSON.stringify(message));
    sizes.set(message, bytes);
  }
  return bytes;
}
