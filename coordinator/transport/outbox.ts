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

/** More is not written until clients have taken some of it: memory of the process, whatever the cohort. */
const MOST_UNDER_WAY = 32 << 20;
/** A client on a slow line keeps the others waiting no longer than this. */
const COUNTED_MS = 2_000;

/** Bytes on their way to all clients of a server. */
export class UnderWay {
  #bytes = 0;
  #waiting: (() => void)[] = [];

  /** Counts bytes until the answer is called, or for some seconds. */
  add(bytes: number): () => void {
    this.#bytes += bytes;
    let counted = true;
    const over = () => {
      if (!counted) return;
      counted = false;
      clearTimeout(timer);
      this.#bytes -= bytes;
      if (this.#bytes < MOST_UNDER_WAY) for (const go of this.#waiting.splice(0)) go();
    };
    const timer = setTimeout(over, COUNTED_MS);
    timer.unref();
    return over;
  }

  /** Resolves when there is room for more; null: there is. */
  room(): Promise<void> | null {
    return this.#bytes < MOST_UNDER_WAY ? null : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** The same message goes to many clients; it is measured once. */
const sizes = new WeakMap<CoordinatorMessage, number>();

export class Outbox {
  readonly #socket: Socket;
  readonly #underWay: UnderWay;
  readonly #stuck: (reason: string) => void;
  #bytes = 0;
  /** Messages that wait for their turn; what comes after them waits, too. */
  #waiting = 0;

  constructor(socket: Socket, underWay: UnderWay, stuck: (reason: string) => void) {
    this.#socket = socket;
    this.#underWay = underWay;
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
    const over = this.#underWay.add(bytes);
    inTurn(() => {
      this.#waiting -= 1;
      this.#emit(message, bytes, over);
    });
  }

  #emit(message: CoordinatorMessage, bytes: number, over: () => void = () => undefined): void {
    if (!this.#socket.connected) {
      over();
      return;
    }
    if (this.#bytes + bytes > MAX_UNACKNOWLEDGED_BYTES) {
      over();
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
      over();
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
