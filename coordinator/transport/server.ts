/**
 * The coordinator's transport in deployment: one port that serves socket.io for control and HTTP for weights,
 * enrolment and the operator. `CoordinatorTransport` as the driver knows it.
 */
import type { Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Sha256 } from "../../shared/ids.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import type { CoordinatorMessage } from "../../shared/wire/messages.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import type { Members } from "../enrol/members.ts";
import type { FileBlobs } from "../store/blobs.ts";
import type { Uploads } from "../store/uploads.ts";
import { Bearers } from "./bearers.ts";
import { Control } from "./control.ts";
import type { TransportLog } from "./errors.ts";
import { FailureLimit } from "./failure-limit.ts";
import { createApp, type AdminActions, type RateLimits } from "./http.ts";
import { createServer, type Listen } from "./listen.ts";
import type { CoordinatorTransport, CoordinatorTransportEvents } from "./port.ts";
import { Traffic } from "./traffic.ts";
import { Offered } from "./transfers.ts";

const DEFAULT_LIMITS: RateLimits = { joinsPerMinute: 60, failuresPerMinute: 60 };
const TIDY_MS = 10 * 60_000;

export interface ServerOptions {
  readonly listen: Listen;
  readonly federation: { readonly name: string; readonly id: string };
  readonly crypto: CryptoPort;
  /** The coordinator's signing key; clients pinned its public part when they joined. */
  readonly key: SigningKey;
  readonly rng: SecureRng;
  readonly members: Members;
  readonly enrolment: Enrolment;
  readonly blobs: FileBlobs;
  /** Hashes of blobs that members may fetch beside those of the chain. */
  readonly offered?: readonly Sha256[];
  readonly uploads: Uploads;
  readonly admin: { readonly token: string; readonly actions: AdminActions };
  readonly log: TransportLog;
  readonly limits?: RateLimits;
  readonly now?: () => number;
}

export class SocketCoordinatorTransport implements CoordinatorTransport {
  readonly #options: ServerOptions;
  #server: HttpServer | null = null;
  #control: Control | null = null;
  #offered: Offered | null = null;
  #traffic: Traffic | null = null;
  #tidying: NodeJS.Timeout | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Resolves once the port is open; throws CONFIG_INVALID when it cannot be. */
  async start(events: CoordinatorTransportEvents): Promise<void> {
    const { listen, crypto, key, rng, members, enrolment, blobs, uploads, federation, admin, log } = this.#options;
    const now = this.#options.now ?? Date.now;
    const limits = this.#options.limits ?? DEFAULT_LIMITS;
    const bearers = new Bearers(rng, now);
    const failures = new FailureLimit(limits.failuresPerMinute, 60_000, now);
    const offered = new Offered((after) => events.chain(after), this.#options.offered);
    const server = await createServer(listen);
    const traffic = new Traffic(server, listen.tls !== null);
    this.#traffic = traffic;
    const app = createApp({
      federation,
      behindProxy: listen.behindProxy,
      bearers,
      enrolment,
      admin,
      leaveOut: (socket) => traffic.leaveOut(socket),
      transfers: { blobs, uploads, events },
      offered,
      limits,
      log,
    });
    server.on("request", app);
    this.#control = new Control(
      server,
      {
        federation: federation.id,
        behindProxy: listen.behindProxy,
        crypto,
        key,
        rng,
        members,
        bearers,
        failures,
        log,
      },
      events,
    );
    this.#server = server;
    this.#offered = offered;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException) => {
        const message = `listen: cannot open ${listen.host}:${listen.port} (${error.code})`;
        reject(
          new CodedError("CONFIG_INVALID", message, { field: "listen.port", errno: error.code }, { cause: error }),
        );
      };
      server.once("error", refused);
      server.listen(listen.port, listen.host, () => {
        server.off("error", refused);
        resolve();
      });
    });
    const tidy = () => {
      uploads
        .discard((upload) => events.uploadLimit(upload.client, upload.sid, upload.hash) !== null)
        .catch((error: unknown) => log.warn({ err: error }, "partial uploads could not be tidied up"));
    };
    this.#tidying = setInterval(tidy, TIDY_MS);
    this.#tidying.unref();
    log.info({ url: this.url }, `listening on ${this.url}`);
  }

  /** Where this server listens; the port is the real one also where the configuration says 0. */
  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    const { host, port, tls } = this.#options.listen;
    const name = host.includes(":") ? `[${host}]` : host;
    return `${tls === null ? "http" : "https"}://${name}:${address?.port ?? port}`;
  }

  send(client: ClientName, message: CoordinatorMessage): void {
    if (message.type === "committed") this.#offered?.add([message.link]);
    this.#control?.send(client, message);
  }

  room(): Promise<void> | null {
    return this.#control?.room() ?? null;
  }

  traffic(): { upload: number; download: number } {
    return this.#traffic?.total() ?? { upload: 0, download: 0 };
  }

  async stop(): Promise<void> {
    if (this.#tidying !== null) clearInterval(this.#tidying);
    // socket.io closes the server it is attached to, which waits for transfers under way: they are cut and resume later.
    const closed = this.#control?.close();
    this.#server?.closeAllConnections();
    await closed;
    this.#control = null;
    this.#server = null;
  }
}
