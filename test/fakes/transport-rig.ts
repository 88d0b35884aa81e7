/** A coordinator's real server on loopback with its store on disk, and real clients that connect to it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SocketClientTransport, type SocketTransportOptions } from "../../client/transport/socket.ts";
import { createAuthority } from "../../coordinator/enrol/authority.ts";
import { memberActions } from "../../coordinator/enrol/actions.ts";
import { federationPaths, openFederation, type OpenFederation } from "../../coordinator/enrol/folder.ts";
import type { AdminActions, RateLimits } from "../../coordinator/transport/http.ts";
import type { Listen } from "../../coordinator/transport/listen.ts";
import type { CoordinatorTransportEvents } from "../../coordinator/transport/port.ts";
import { SocketCoordinatorTransport } from "../../coordinator/transport/server.ts";
import { clientName, type ClientName, type Sha256 } from "../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { createSecretFile } from "../../shared/node/identity.ts";
import type { SigningKey } from "../../shared/secagg/crypto-port.ts";
import type { ClientMessage, CoordinatorMessage } from "../../shared/wire/messages.ts";

export const crypto = new NodeCrypto();
export const rng = systemRandom();
export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex") as Sha256;
export const sha256 = (bytes: Uint8Array) => hex(crypto.sha256(bytes));

export interface RigOptions {
  readonly listen?: Partial<Listen>;
  readonly limits?: RateLimits;
  readonly authority?: "embedded" | "offline";
  readonly actions?: AdminActions;
  /** The server's clock. */
  readonly now?: () => number;
}

export class Rig {
  readonly root: string;
  readonly #options: RigOptions;
  federation!: OpenFederation;
  server!: SocketCoordinatorTransport;
  /** What the server's events reported, as lines. */
  readonly seen: string[] = [];
  readonly log: string[] = [];
  events: CoordinatorTransportEvents;
  #port = 0;
  readonly #clients: SocketClientTransport[] = [];

  private constructor(root: string, options: RigOptions) {
    this.root = root;
    this.#options = options;
    this.events = {
      connected: (client) => void this.seen.push(`connected ${client}`),
      disconnected: (client) => void this.seen.push(`disconnected ${client}`),
      message: async (client, message) => void this.seen.push(`${client} ${message.type}`),
      uploadLimit: () => 64 << 20,
      uploaded: async (client, _sid, hash, bytes) => void this.seen.push(`uploaded ${client} ${hash} ${bytes}`),
      chain: async () => [],
      manifest: async () => null,
    };
  }

  static async open(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), "allulook-rig-")), options);
    const paths = federationPaths(rig.root);
    await createAuthority(paths.authority, "test", crypto, rng);
    await createSecretFile(paths.key, rng);
    await createSecretFile(paths.admin, rng);
    try {
      await rig.start();
    } catch (error) {
      await rig.dispose();
      throw error;
    }
    return rig;
  }

  /** Starts the server, again on the same port after a stop. */
  async start(): Promise<void> {
    const authority = this.#options.authority ?? "embedded";
    this.federation = await openFederation(this.root, { federation: "test", authority }, crypto, rng, Date.now);
    const note = (level: string) => (facts: object, text: string) =>
      void this.log.push(`${level} ${text} ${JSON.stringify(facts)}`);
    this.server = new SocketCoordinatorTransport({
      listen: {
        host: "127.0.0.1",
        tls: null,
        behindProxy: false,
        insecurePlainText: false,
        ...this.#options.listen,
        port: this.#port,
      },
      federation: { name: "test", id: this.federation.identity.federationId },
      crypto,
      key: this.federation.key,
      rng,
      members: this.federation.members,
      enrolment: this.federation.enrolment,
      blobs: this.federation.blobs,
      uploads: this.federation.uploads,
      admin: {
        token: this.federation.adminToken,
        actions: { ...memberActions(this.federation, crypto, Date.now), ...this.#options.actions },
      },
      log: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
      ...(this.#options.now === undefined ? {} : { now: this.#options.now }),
      ...(this.#options.limits === undefined ? {} : { limits: this.#options.limits }),
    });
    await this.server.start(this.events);
    this.#port = Number(new URL(this.server.url).port);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.federation.close();
  }

  /** A member's name and key, without the ceremony of an invitation. */
  async enrol(name: string): Promise<{ name: ClientName; key: SigningKey }> {
    const key = crypto.signingKey(rng.bytes(32));
    const client = clientName.parse(name);
    const certificate = await this.federation.authority!.sign(client, hex(key.publicKey));
    await this.federation.members.update({
      name: client,
      signingKey: hex(key.publicKey),
      certificate,
      enrolledAt: Date.now(),
      revoked: false,
    });
    return { name: client, key };
  }

  client(
    member: { name: ClientName; key: SigningKey },
    options: Partial<SocketTransportOptions> = {},
  ): { transport: SocketClientTransport; seen: string[]; messages: CoordinatorMessage[]; open: () => void } {
    const transport = new SocketClientTransport({
      url: this.server.url,
      client: member.name,
      key: member.key,
      federation: this.federation.identity.federationId,
      coordinatorKey: hex(this.federation.key.publicKey),
      crypto,
      rng,
      bandwidth: { up: null, down: null },
      proxy: "",
      ...options,
    });
    this.#clients.push(transport);
    const seen: string[] = [];
    const messages: CoordinatorMessage[] = [];
    const open = () =>
      transport.open({
        connected: () => void seen.push("connected"),
        disconnected: (reason) => void seen.push(`disconnected ${reason}`),
        message: (message) => void messages.push(message),
      });
    return { transport, seen, messages, open };
  }

  async connect(name: string, options: Partial<SocketTransportOptions> = {}) {
    const client = this.client(await this.enrol(name), options);
    client.open();
    await until(() => client.seen.includes("connected"));
    return client;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.stop().catch(() => undefined);
    await rm(this.root, { recursive: true, force: true });
  }
}

export const heartbeat: ClientMessage = { type: "heartbeat", sid: null, progress: null };
export const never = new AbortController().signal;

/** Waits for what another process or socket does; fails after `ms`. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
