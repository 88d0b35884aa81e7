/**
 * Control connections over socket.io: mutual authentication (`shared/wire/handshake.ts`), schema-checked messages with
 * acknowledgement, one connection a client. Nothing a client sends before it has proven its key is looked at.
 */
import type { Server as HttpServer } from "node:http";
import { Server, type Socket } from "socket.io";
import { CodedError } from "../../shared/errors.ts";
import { clientName, type ClientName, type Sha256 } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { fromBase64, toBase64 } from "../../shared/secagg/encoding.ts";
import { challengeAnswer, handshakeBytes, hello, NONCE_BYTES, type Hello } from "../../shared/wire/handshake.ts";
import { CONTROL_PATH } from "../../shared/wire/http.ts";
import { clientMessage, MAX_MESSAGE_BYTES, PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import type { ClientMessage, CoordinatorMessage } from "../../shared/wire/messages.ts";
import type { Members } from "../enrol/members.ts";
import type { Bearers } from "./bearers.ts";
import { statusOf, toWire, type TransportLog } from "./errors.ts";
import type { FailureLimit } from "./failure-limit.ts";
import { Outbox, UnderWay } from "./outbox.ts";

/** Room for socket.io's own framing around the largest message. */
const FRAME_BYTES = MAX_MESSAGE_BYTES + 1024;
const HANDSHAKE_MS = 10_000;
/**
 * Only a connection without another end is closed by this: who is silent, presence decides. A coordinator that was busy for
 * some seconds would otherwise close connections whose answers wait in its sockets, and a thousand clients would close theirs.
 */
const PING_TIMEOUT_MS = 30_000;
/** Messages of one client that wait for their acknowledgement; an honest client has a handful. */
const MESSAGES_UNDER_WAY = 64;

export interface ControlOptions {
  /** Federation id. */
  readonly federation: string;
  readonly behindProxy: boolean;
  readonly crypto: CryptoPort;
  readonly key: SigningKey;
  readonly rng: SecureRng;
  readonly members: Members;
  readonly bearers: Bearers;
  readonly failures: FailureLimit;
  readonly log: TransportLog;
}

export interface ControlEvents {
  connected(client: ClientName): void;
  disconnected(client: ClientName): void;
  message(client: ClientName, message: ClientMessage): Promise<void>;
}

export class Control {
  readonly #options: ControlOptions;
  readonly #events: ControlEvents;
  readonly #io: Server;
  readonly #keyHex: string;
  readonly #connections = new Map<ClientName, { socket: Socket; outbox: Outbox; key: Sha256 }>();
  readonly #stopListening: () => void;
  readonly #underWay = new UnderWay();

  constructor(server: HttpServer, options: ControlOptions, events: ControlEvents) {
    this.#options = options;
    this.#events = events;
    this.#keyHex = Buffer.from(options.key.publicKey).toString("hex");
    this.#io = new Server(server, {
      path: CONTROL_PATH,
      serveClient: false,
      maxHttpBufferSize: FRAME_BYTES,
      pingInterval: 5_000,
      pingTimeout: PING_TIMEOUT_MS,
      connectTimeout: HANDSHAKE_MS,
      destroyUpgrade: true,
    });
    this.#io.use((socket, next) => {
      try {
        this.#admit(socket);
        next();
      } catch (error) {
        next(this.#refusal(socket, error));
      }
    });
    this.#io.on("connection", (socket) => void this.#authenticate(socket));
    this.#stopListening = options.members.onChange((client) => {
      const connected = this.#connections.get(client.name);
      if (connected === undefined) return;
      if (client.revoked) this.#drop(client.name, new CodedError("CERTIFICATE_REVOKED", "membership was revoked"));
      else if (connected.key !== client.signingKey) {
        this.#drop(client.name, new CodedError("AUTH_REFUSED", "the client was enrolled again with another key"));
      }
    });
  }

  /** The hello: who says to be here, and may it come in at all. */
  #admit(socket: Socket): void {
    if (this.#options.failures.blocked(this.#address(socket))) {
      throw new CodedError("WIRE_TOO_MANY", "too many failed attempts from this address");
    }
    const auth: unknown = socket.handshake.auth;
    const protocol = (auth as { protocol?: unknown } | null)?.protocol;
    if (typeof protocol === "number" && protocol !== PROTOCOL_VERSION) {
      throw new CodedError("WIRE_VERSION", `coordinator speaks version ${PROTOCOL_VERSION}, client ${protocol}`, {
        expected: PROTOCOL_VERSION,
        got: protocol,
      });
    }
    const parsed = hello.safeParse(auth);
    if (!parsed.success) throw new CodedError("WIRE_INVALID", `hello: ${parsed.error.issues[0]?.message}`);
    if (parsed.data.federation !== this.#options.federation) {
      throw new CodedError("AUTH_UNKNOWN_CLIENT", "this coordinator serves another federation");
    }
    this.#options.members.admit(parsed.data.client);
    socket.data = parsed.data;
  }

  async #authenticate(socket: Socket): Promise<void> {
    const { crypto, key, rng, members, bearers, log } = this.#options;
    const heading = socket.data as Hello;
    const client = clientName.parse(heading.client);
    let enrolledKey: Sha256;
    try {
      const nonce = toBase64(rng.bytes(NONCE_BYTES));
      const proof = toBase64(key.sign(handshakeBytes("coordinator", heading, nonce, this.#keyHex)));
      const answer = await askClient(socket, "challenge", { nonce, proof });
      const signature = fromBase64(challengeAnswer.safeParse(answer).data?.proof ?? "") ?? new Uint8Array();
      // Asked again: the membership may have been revoked meanwhile.
      enrolledKey = members.admit(client).signingKey;
      if (
        !crypto.verify(
          Buffer.from(enrolledKey, "hex"),
          handshakeBytes("client", heading, nonce, this.#keyHex),
          signature,
        )
      ) {
        throw new CodedError("AUTH_REFUSED", `${client} did not prove that it holds its enrolled key`, { client });
      }
    } catch (error) {
      this.#refusal(socket, error);
      socket.emit("refused", toWire(error));
      socket.disconnect(true);
      return;
    }
    if (!socket.connected) return;

    const previous = this.#connections.get(client);
    const outbox = new Outbox(socket, this.#underWay, (reason) => {
      log.warn({ client }, `${client} does not take what is sent to it: ${reason}`);
      socket.disconnect(true);
    });
    this.#connections.set(client, { socket, outbox, key: enrolledKey });
    if (previous !== undefined) {
      log.warn({ client }, `a second connection of ${client} replaces the first`);
      previous.socket.emit("refused", { code: "DISCONNECTED", message: "replaced by another connection" });
      previous.socket.disconnect(true);
    }
    socket.on("disconnect", () => {
      if (this.#connections.get(client)?.socket !== socket) return;
      this.#connections.delete(client);
      this.#events.disconnected(client);
    });
    let underWay = 0;
    socket.on("message", (body: unknown, acknowledge: unknown) => {
      if (underWay >= MESSAGES_UNDER_WAY) {
        log.warn({ client }, `${client} sends more messages than it waits for; disconnected`);
        socket.disconnect(true);
        return;
      }
      underWay += 1;
      void this.#message(client, socket, body).then((answer) => {
        underWay -= 1;
        if (typeof acknowledge === "function") acknowledge(answer);
      });
    });
    socket.on("token", (acknowledge: unknown) => {
      if (typeof acknowledge === "function") acknowledge(bearers.issue(client));
    });
    socket.emit("welcome", bearers.issue(client));
    log.debug({ client, address: this.#address(socket) }, `${client} connected`);
    this.#events.connected(client);
  }

  async #message(client: ClientName, socket: Socket, body: unknown): Promise<object> {
    try {
      // A connection that was replaced says nothing any more.
      if (this.#connections.get(client)?.socket !== socket) {
        throw new CodedError("DISCONNECTED", "this connection was replaced");
      }
      const parsed = clientMessage.safeParse(body);
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw new CodedError("WIRE_INVALID", `message: ${issue?.path.join(".")}: ${issue?.message}`, { client });
      }
      await this.#events.message(client, parsed.data);
      return { ok: true };
    } catch (error) {
      if (statusOf(error) === 500) {
        this.#options.log.error({ client, err: error }, `a message of ${client} failed`);
      } else this.#options.log.debug({ client, code: toWire(error).code }, `refused a message of ${client}`);
      return { error: toWire(error) };
    }
  }

  /** A message that the protocol does not allow is logged and dropped: what waits for its answer runs into its deadline. */
  send(client: ClientName, message: CoordinatorMessage): void {
    try {
      this.#connections.get(client)?.outbox.send(message);
    } catch (error) {
      this.#options.log.error(
        { client, code: toWire(error).code },
        `cannot send to ${client}: ${toWire(error).message}`,
      );
    }
  }

  /** Resolves when clients have taken enough of what is under way; null: they have. */
  room(): Promise<void> | null {
    return this.#underWay.room();
  }

  /** Logs and counts a failed handshake; the error as socket.io hands it to the client. */
  #refusal(socket: Socket, error: unknown): Error {
    const wire = toWire(error);
    const address = this.#address(socket);
    const facts = { address, code: wire.code };
    if (wire.code === "COORDINATOR_FAILED") this.#options.log.error({ ...facts, err: error }, "a handshake failed");
    else this.#options.log.warn(facts, `refused a connection: ${wire.message}`);
    if (wire.code !== "AUTH_PENDING") this.#options.failures.record(address);
    return Object.assign(new Error(wire.message), { data: wire });
  }

  /** Behind a proxy the last entry of X-Forwarded-For is the proxy's own and can be believed. */
  #address(socket: Socket): string {
    const forwarded = socket.handshake.headers["x-forwarded-for"];
    const last = this.#options.behindProxy
      ? String(forwarded ?? "")
          .split(",")
          .at(-1)
          ?.trim()
      : "";
    return last === undefined || last === "" ? socket.handshake.address : last;
  }

  #drop(client: ClientName, error: CodedError): void {
    this.#options.bearers.revoke(client);
    const connection = this.#connections.get(client);
    connection?.socket.emit("refused", toWire(error));
    connection?.socket.disconnect(true);
  }

  async close(): Promise<void> {
    this.#stopListening();
    await this.#io.close();
  }
}

/** What a client answers to an event, or null when it does not in time. */
function askClient(socket: Socket, event: string, body: object): Promise<unknown> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), HANDSHAKE_MS);
    timer.unref();
    const done = (answer: unknown) => {
      clearTimeout(timer);
      resolve(answer);
    };
    socket.emit(event, body, done);
    socket.once("disconnect", () => done(null));
  });
}
