/**
 * Moving weights in both directions, resumable: after every cut the transfer goes on where the receiver stands. Bytes
 * pass the site's bandwidth cap, and a transfer that stands still is cut and tried again.
 */
import { createHash } from "node:crypto";
import type { Dispatcher } from "undici";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_OFFSET } from "../../shared/wire/http.ts";
import type { BlobRef } from "../../shared/wire/release.ts";
import type { Throttle } from "./bandwidth.ts";
import { unreachable, type Call } from "./http.ts";

const PIECE_BYTES = 1 << 20;
const GUESS_BYTES = 1 << 20;
/** Without a byte for this long a transfer is cut and resumed. */
const STALL_MS = 90_000;
/** Damaged on the way this often, a transfer is given up: something between the two machines changes bytes. */
const DAMAGED_TRIES = 3;

/** Sends a request with the present token; asks again by itself when the coordinator is away. */
export type Authorized = (what: Call, signal: AbortSignal) => Promise<Dispatcher.ResponseData>;
/** Waits before the next try, or throws the error when trying again cannot help. */
export type Retry = (error: unknown, signal: AbortSignal) => Promise<void>;

/** Throws WIRE_HASH when the bytes are damaged on the way again and again, and the coordinator's refusals. */
export async function upload(
  send: Authorized,
  retry: Retry,
  throttle: Throttle,
  sid: Sha256,
  hash: Sha256,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const path = `/v1/uploads/${sid}/${hash}`;
  let damaged = 0;
  // A short upload guesses that nothing is there yet, which saves a round trip; a long one asks before it sends.
  let guessed = bytes.length <= GUESS_BYTES;
  let offset: number | null = guessed ? 0 : null;
  for (;;) {
    try {
      if (offset === null) {
        const head = await send({ method: "HEAD", path, headers: { [UPLOAD_LENGTH]: String(bytes.length) } }, signal);
        await head.body.dump();
        // A complete one is announced again, so that the coordinator records it for this session.
        offset = Math.min(bytes.length, Number(head.headers[UPLOAD_OFFSET] ?? 0));
      }
      const rest = bytes.subarray(offset);
      const watch = new StallWatch(signal);
      try {
        const response = await send(
          {
            method: "PATCH",
            path,
            headers: {
              [UPLOAD_OFFSET]: String(offset),
              [UPLOAD_LENGTH]: String(bytes.length),
              "content-length": String(rest.length),
              "content-type": "application/octet-stream",
            },
            body: rest.length === 0 ? rest : pieces(rest, throttle, watch),
          },
          watch.signal,
        );
        await response.body.dump();
        if (response.headers[UPLOAD_COMPLETE] === "?1") return;
        offset = Number(response.headers[UPLOAD_OFFSET] ?? 0);
      } finally {
        watch.stop();
      }
    } catch (error) {
      offset = null;
      // A wrong guess is put right at once. Refused although it was asked for, an offset waits: another connection of this
      // client is sending, too.
      if (isCoded(error, "UPLOAD_OFFSET") && guessed) {
        guessed = false;
        continue;
      }
      if (isCoded(error, "WIRE_HASH")) {
        damaged += 1;
        if (damaged >= DAMAGED_TRIES) throw error;
        continue;
      }
      await retry(error, signal);
    }
  }
}

async function* pieces(bytes: Uint8Array, throttle: Throttle, watch: StallWatch): AsyncIterable<Uint8Array> {
  const size = throttle.pieceBytes(PIECE_BYTES);
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size);
    await throttle.pass(piece.length, watch.signal);
    watch.moved();
    yield piece;
  }
}

/** Throws WIRE_HASH when what arrives never matches, and the coordinator's refusals. */
export async function download(
  send: Authorized,
  retry: Retry,
  throttle: Throttle,
  ref: BlobRef,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(ref.bytes);
  let damaged = 0;
  let at = 0;
  let hash = createHash("sha256");
  for (;;) {
    const watch = new StallWatch(signal);
    try {
      const headers: Record<string, string> = at === 0 ? {} : { range: `bytes=${at}-` };
      if (at < bytes.length || bytes.length === 0) {
        const response = await send({ method: "GET", path: `/v1/blobs/${ref.sha256}`, headers }, watch.signal);
        // A server that ignores ranges begins anew.
        if (response.statusCode !== 206 && at > 0) {
          at = 0;
          hash = createHash("sha256");
        }
        try {
          for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
            if (at + chunk.length > bytes.length) throw damage(ref, `more than ${bytes.length} bytes came`);
            bytes.set(chunk, at);
            hash.update(chunk);
            at += chunk.length;
            await throttle.pass(chunk.length, watch.signal);
            watch.moved();
          }
        } catch (error) {
          throw unreachable(error, signal);
        }
      }
      if (at < bytes.length) throw new CodedError("COORDINATOR_UNREACHABLE", `the download ended after ${at} bytes`);
      const got = hash.digest("hex");
      if (got !== ref.sha256) throw damage(ref, `their hash is ${got}`);
      return bytes;
    } catch (error) {
      if (isCoded(error, "WIRE_HASH")) {
        damaged += 1;
        if (damaged >= DAMAGED_TRIES) throw error;
        at = 0;
        hash = createHash("sha256");
      } else await retry(error, signal);
    } finally {
      watch.stop();
    }
  }
}

function damage(ref: BlobRef, what: string): CodedError {
  return new CodedError("WIRE_HASH", `blob ${ref.sha256}: ${what}`, { hash: ref.sha256 });
}

/** Aborts with COORDINATOR_UNREACHABLE when nothing moves for a while, and with the outer signal's reason. */
class StallWatch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #abort = () => this.#controller.abort(this.#outer.reason);
  readonly #timer: NodeJS.Timeout;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    if (outer.aborted) this.#abort();
    outer.addEventListener("abort", this.#abort, { once: true });
    this.#timer = setTimeout(() => {
      this.#controller.abort(new CodedError("COORDINATOR_UNREACHABLE", `nothing moved for ${STALL_MS} ms`));
    }, STALL_MS);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  moved(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#abort);
  }
}
