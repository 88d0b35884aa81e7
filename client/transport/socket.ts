/**
 * The client's transport in deployment: socket.io for control (`connection.ts`), HTTP for weights (`transfer.ts`), both
 * outward only.
 */
import type { Dispatcher } from "undici";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { chainAnswer } from "../../shared/wire/http.ts";
import type { ClientMessage } from "../../shared/wire/messages.ts";
import type { BlobRef, ChainLink } from "../../shared/wire/release.ts";
import { Backoff, sleep } from "./backoff.ts";
import { Throttle } from "./bandwidth.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { call, MAX_ANSWER_BYTES, readBody, type Call } from "./http.ts";
import type { ClientTransport, ClientTransportEvents } from "./port.ts";
import { openRoute, type Route, type RouteOptions } from "./route.ts";
import { download, upload } from "./transfer.ts";

/** Between two tries of one request. */
const RETRY_MS = { first: 100, longest: 15_000 };

export interface SocketTransportOptions extends RouteOptions, ConnectionOptions {
  readonly url: string;
  /** Bytes a second; null: no cap. */
  readonly bandwidth: { readonly up: number | null; readonly down: number | null };
}

/** Codes after which trying again by itself can help. */
const PASSING = new Set([
  "COORDINATOR_UNREACHABLE",
  "COORDINATOR_FAILED",
  "DISCONNECTED",
  "AUTH_REFUSED",
  "STORE_FULL",
  "WIRE_TOO_MANY",
  "UPLOAD_OFFSET",
]);

export class SocketClientTransport implements ClientTransport {
  readonly #base: URL;
  readonly #route: Route;
  readonly #connection: Connection;
  readonly #up: Throttle;
  readonly #down: Throttle;

  constructor(options: SocketTransportOptions) {
    this.#base = new URL(options.url);
    this.#route = openRoute(this.#base, options);
    this.#connection = new Connection(this.#base.origin, this.#route, options);
    this.#up = new Throttle(options.bandwidth.up);
    this.#down = new Throttle(options.bandwidth.down);
  }

  open(events: ClientTransportEvents): void {
    this.#connection.open(events);
  }

  send(message: ClientMessage): Promise<void> {
    return this.#connection.send(message);
  }

  upload(sid: Sha256, hash: Sha256, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    return upload(this.#send, this.#retryFor(), this.#up, sid, hash, bytes, this.#until(signal));
  }

  download(ref: BlobRef, signal: AbortSignal): Promise<Uint8Array> {
    return download(this.#send, this.#retryFor(), this.#down, ref, this.#until(signal));
  }

  async chain(after: number, signal: AbortSignal): Promise<ChainLink[]> {
    const body = await this.#get(`/v1/chain?after=${after}`, signal);
    const parsed = chainAnswer.safeParse(parseJson(body));
    if (!parsed.success) throw new CodedError("WIRE_INVALID", `chain: ${parsed.error.issues[0]?.message}`);
    return parsed.data.links;
  }

  manifest(version: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#get(`/v1/manifest/${version}`, signal);
  }

  async #get(path: string, outer: AbortSignal): Promise<Uint8Array> {
    const signal = this.#until(outer);
    const retry = this.#retryFor();
    for (;;) {
      try {
        return await readBody(await this.#send({ method: "GET", path }, signal), MAX_ANSWER_BYTES, signal);
      } catch (error) {
        await retry(error, signal);
      }
    }
  }

  /** One request with the present token; waits for a connection to have one. */
  readonly #send = async (what: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> => {
    const token = await this.#connection.token(signal);
    const headers = { ...what.headers, authorization: `Bearer ${token}` };
    try {
      return await call(this.#base, this.#route.dispatcher, { ...what, headers }, signal);
    } catch (error) {
      if (isCoded(error, "AUTH_REFUSED")) this.#connection.renewToken(token);
      throw error;
    }
  };

  #retryFor(): (error: unknown, signal: AbortSignal) => Promise<void> {
    const backoff = new Backoff(RETRY_MS.first, RETRY_MS.longest);
    return async (error, signal) => {
      signal.throwIfAborted();
      if (!(error instanceof CodedError && PASSING.has(error.code))) throw error;
      await sleep(backoff.nextMs(), signal);
    };
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#connection.closing]);
  }

  async close(): Promise<void> {
    this.#connection.close();
    await this.#route.dispatcher.destroy();
    this.#route.agent?.destroy();
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    throw new CodedError("WIRE_INVALID", "the coordinator's answer is not JSON");
  }
}
