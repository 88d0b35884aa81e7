/**
 * The control connection: proves this client's key and the coordinator's, carries messages with acknowledgement, hands
 * out the token for HTTP, and comes back for ever after every loss.
 */
import { types } from "node:util";
import { io, type Socket } from "socket.io-client";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { fromBase64, toBase64 } from "../../shared/secagg/encoding.ts";
import { bearer, challenge, failure, handshakeBytes, NONCE_BYTES, type Hello } from "../../shared/wire/handshake.ts";
import { CONTROL_PATH } from "../../shared/wire/http.ts";
import { ack, coordinatorMessage, MAX_MESSAGE_BYTES, PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import type { ClientMessage } from "../../shared/wire/messages.ts";
import { Backoff, sleep } from "./backoff.ts";
import { codedFromWire } from "./http.ts";
import type { ClientTransportEvents } from "./port.ts";
import type { Route } from "./route.ts";

const CONNECT_MS = 15_000;
const ACKNOWLEDGE_MS = 30_000;
/** Reconnecting: the coordinator is away. */
const RECONNECT_MS = { first: 100, longest: 15_000 };
/** Reconnecting after a refusal, which only people can change. */
const REFUSED_MS = { first: 5_000, longest: 60_000 };

export interface ConnectionOptions {
  readonly client: ClientName;
  readonly key: SigningKey;
  /** Federation id. */
  readonly federation: Sha256;
  /** Pinned at enrolment, hex. */
  readonly coordinatorKey: Sha256;
  readonly crypto: CryptoPort;
  readonly rng: SecureRng;
}

/** Why no connection came about: engine.io itself only says "xhr poll error", and keeps the cause beside it. */
function causeOf(error: Error & { description?: unknown; context?: unknown }): string {
  const { description } = error;
  const { status, statusText } = (error.context ?? {}) as { status?: unknown; statusText?: unknown };
  const within = (description as { error?: unknown } | null | undefined)?.error;
  const cause = [description, within, statusText].find(types.isNativeError) as NodeJS.ErrnoException | undefined;
  // Of several addresses tried, Node gives an error without words.
  if (cause !== undefined) return cause.message === "" ? (cause.code ?? error.message) : cause.message;
  const answered = [status, description].find((candidate) => typeof candidate === "number" && candidate > 0);
  return answered === undefined ? error.message : `it answers with HTTP status ${String(answered)}`;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #origin: string;
  readonly #route: Route;
  readonly #closing = new AbortController();
  readonly #reconnect = new Backoff(RECONNECT_MS.first, RECONNECT_MS.longest);
  readonly #refusedAgain = new Backoff(REFUSED_MS.first, REFUSED_MS.longest);
  #socket: Socket | null = null;
  /** Both sides have proven their keys on the present connection. */
  #authenticated = false;
  /** The coordinator's last refusal on this connection, for the reason that people see. */
  #refusal: CodedError | null = null;
  #token: string | null = null;
  #tokenWaiters: (() => void)[] = [];
  /** How each message under way ends; null: acknowledged. */
  readonly #pending = new Set<(error: CodedError | null) => void>();

  constructor(origin: string, route: Route, options: ConnectionOptions) {
    this.#origin = origin;
    this.#route = route;
    this.#options = options;
  }

  /** Aborted, with the error to show, once the connection is closed for good. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  open(events: ClientTransportEvents): void {
    const { rng, client, federation } = this.#options;
    let heading: Hello | null = null;
    const socket = io(this.#origin, {
      path: CONTROL_PATH,
      transports: ["websocket", "polling"],
      // Where a proxy lets no web sockets through, long polling does.
      tryAllTransports: true,
      reconnection: false,
      autoConnect: false,
      forceNew: true,
      timeout: CONNECT_MS,
      ...(this.#route.agent === undefined ? {} : { agent: this.#route.agent as unknown as string }),
      ...(this.#route.ca === undefined ? {} : { ca: this.#route.ca }),
      auth: (give) => {
        heading = { protocol: PROTOCOL_VERSION, federation, client, nonce: toBase64(rng.bytes(NONCE_BYTES)) };
        give(heading);
      },
    });
    this.#socket = socket;
    /** The coordinator has proven its key on the present connection. */
    let proven = false;
    let waiting = false;

    socket.on("challenge", (body: unknown, answer: unknown) => {
      const proof = heading === null ? null : this.#prove(heading, body);
      // One proof for one hello: a second challenge on this connection gets none.
      heading = null;
      proven = proof !== null;
      if (proof !== null && typeof answer === "function") answer({ proof });
      else {
        this.#refusal = new CodedError("AUTH_REFUSED", "the coordinator did not prove the key pinned at enrolment");
        socket.disconnect();
      }
    });
    socket.on("welcome", (body: unknown) => {
      const parsed = bearer.safeParse(body);
      if (!proven || !parsed.success) {
        this.#refusal = new CodedError("AUTH_REFUSED", "the coordinator skipped the proof of its key");
        socket.disconnect();
        return;
      }
      this.#authenticated = true;
      this.#reconnect.reset();
      this.#refusedAgain.reset();
      this.#gotToken(parsed.data.token);
      events.connected();
    });
    socket.on("message", (body: unknown, acknowledge: unknown) => {
      if (!this.#authenticated) return;
      if (typeof acknowledge === "function") acknowledge();
      const parsed = coordinatorMessage.safeParse(body);
      if (parsed.success) events.message(parsed.data);
      else {
        const issue = parsed.error.issues[0];
        this.#refusal = new CodedError(
          "WIRE_INVALID",
          `from the coordinator: ${issue?.path.join(".")}: ${issue?.message}`,
        );
        socket.disconnect();
      }
    });
    socket.on("refused", (body: unknown) => {
      const parsed = failure.safeParse(body);
      if (parsed.success) this.#refusal = codedFromWire(parsed.data.code, parsed.data.message);
    });
    socket.on("connect_error", (error: Error & { data?: unknown }) => {
      const parsed = failure.safeParse(error.data);
      if (parsed.success) this.#refusal = codedFromWire(parsed.data.code, parsed.data.message);
      lost(`cannot connect to ${this.#origin}: ${causeOf(error)}`);
    });
    socket.on("disconnect", (reason) => lost(reason));

    const lost = (why: string) => {
      if (waiting) return;
      const refusal = this.#refusal;
      this.#refusal = null;
      this.#authenticated = false;
      proven = false;
      this.#token = null;
      for (const settle of this.#pending) settle(new CodedError("DISCONNECTED", `the connection was lost (${why})`));
      if (this.#closing.signal.aborted) return;
      events.disconnected(refusal === null ? why : `${refusal.code}: ${refusal.message}`);
      waiting = true;
      const waitMs = (refusal === null ? this.#reconnect : this.#refusedAgain).nextMs();
      sleep(waitMs, this.#closing.signal).then(
        () => {
          waiting = false;
          socket.connect();
        },
        () => undefined,
      );
    };
    socket.connect();
  }

  /** Our proof, once the coordinator's own is good; null otherwise. */
  #prove(heading: Hello, body: unknown): string | null {
    const { crypto, key, coordinatorKey } = this.#options;
    const parsed = challenge.safeParse(body);
    if (!parsed.success) return null;
    const { nonce, proof } = parsed.data;
    const theirs = handshakeBytes("coordinator", heading, nonce, coordinatorKey);
    const signature = fromBase64(proof);
    if (signature === null || !crypto.verify(Buffer.from(coordinatorKey, "hex"), theirs, signature)) return null;
    return toBase64(key.sign(handshakeBytes("client", heading, nonce, coordinatorKey)));
  }

  send(message: ClientMessage): Promise<void> {
    const bytes = Buffer.byteLength(JSON.stringify(message));
    if (bytes > MAX_MESSAGE_BYTES) {
      const what = `a ${message.type} message of ${bytes} bytes exceeds ${MAX_MESSAGE_BYTES}`;
      return Promise.reject(new CodedError("WIRE_OVERSIZE", what, { bytes, limit: MAX_MESSAGE_BYTES }));
    }
    const socket = this.#socket;
    if (socket === null || !this.#authenticated) {
      return Promise.reject(new CodedError("DISCONNECTED", "not connected to the coordinator"));
    }
    return new Promise((resolve, reject) => {
      const settle = (error: CodedError | null) => {
        if (!this.#pending.delete(settle)) return;
        clearTimeout(timer);
        if (error === null) resolve();
        else reject(error);
      };
      // Its own timer, because socket.io's would keep a stopping process alive.
      const timer = setTimeout(() => {
        settle(new CodedError("DISCONNECTED", `the coordinator did not answer within ${ACKNOWLEDGE_MS} ms`));
      }, ACKNOWLEDGE_MS);
      this.#pending.add(settle);
      socket.emit("message", message, (answer: unknown) => {
        const parsed = ack.safeParse(answer);
        if (!parsed.success) settle(new CodedError("WIRE_INVALID", "the coordinator's answer breaks the schema"));
        else if ("error" in parsed.data) settle(codedFromWire(parsed.data.error.code, parsed.data.error.message));
        else settle(null);
      });
    });
  }

  /** The present token for HTTP; waits for a connection to have one. */
  async token(signal: AbortSignal): Promise<string> {
    while (this.#token === null) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const aborted = () => reject(signal.reason);
        signal.addEventListener("abort", aborted, { once: true });
        this.#tokenWaiters.push(() => {
          signal.removeEventListener("abort", aborted);
          resolve();
        });
      });
    }
    return this.#token;
  }

  /** `old` was refused. A connection that gives no new one within the time is closed; the next one brings one. */
  renewToken(old: string): void {
    const socket = this.#socket;
    if (this.#token !== old || socket === null) return;
    this.#token = null;
    const timer = setTimeout(() => {
      if (this.#token === null && this.#authenticated) socket.io.engine.close();
    }, ACKNOWLEDGE_MS);
    timer.unref();
    socket.emit("token", (body: unknown) => {
      clearTimeout(timer);
      const parsed = bearer.safeParse(body);
      if (parsed.success) this.#gotToken(parsed.data.token);
      else socket.io.engine.close();
    });
  }

  #gotToken(token: string): void {
    this.#token = token;
    const waiters = this.#tokenWaiters;
    this.#tokenWaiters = [];
    for (const wake of waiters) wake();
  }

  close(): void {
    this.#closing.abort(new CodedError("DISCONNECTED", "the client's transport was closed"));
    this.#socket?.disconnect();
    for (const settle of this.#pending) settle(new CodedError("DISCONNECTED", "the client's transport was closed"));
  }
}
