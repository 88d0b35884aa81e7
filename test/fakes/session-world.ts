/** Real client sessions against a coordinator whose every message a test writes by hand. */
import { ModelCache } from "../../client/model-cache/cache.ts";
import { MemoryParamStore } from "../../client/model-cache/store.ts";
import type { OutboxEntry } from "../../client/outbox/outbox.ts";
import type { Approval } from "../../client/plan/approvals.ts";
import { memoryLedger, type PrivacyLedger } from "../../client/policy/privacy-ledger.ts";
import type { RoundLog } from "../../client/secagg/round-log.ts";
import { ClientSession } from "../../client/session.ts";
import type { LocalScore, SessionParts, Workplace } from "../../client/session/ports.ts";
import type { ClientTransport, ClientTransportEvents } from "../../client/transport/port.ts";
import { announce, type Announcement } from "../../coordinator/aggregate/announce.ts";
import { ReleaseChain } from "../../coordinator/release/chain.ts";
import type { VersionRecord } from "../../coordinator/store/port.ts";
import { federationConfig } from "../../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../../shared/config/plan.ts";
import { sitePolicy, type SitePolicy } from "../../shared/config/site.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { SecureRng } from "../../shared/rng/secure.ts";
import { sha256Of } from "../../shared/release/ports.ts";
import { NO_TRANSCRIPT, openSession, type Session, type SessionContext } from "../../shared/secagg/session.ts";
import type { SignedStep, Step } from "../../shared/secagg/signed.ts";
import { comparePlaces, nextDigest, type HistoryLink } from "../../shared/secagg/transcript.ts";
import {
  clientMessage,
  coordinatorMessage,
  type ClientMessage,
  type CoordinatorMessage,
} from "../../shared/wire/messages.ts";
import { messageSignature } from "../../shared/wire/signing.ts";
import { fakeFederation, fixedSecureRng, NOW, type FakeClient, type FakeFederation } from "./secagg.ts";
import { FakeTrainer } from "./trainer.ts";

const CONFIG = federationConfig.parse({
  federation: "test",
  labels: { segmentation: ["a", "b"], scene: ["x", "y"], depth: { kind: "none" } },
  schedule: { cohort: { min: 3, max: 8 } },
});

/** One client's connection, as the coordinator's end sees it. */
class FakeLine implements ClientTransport {
  readonly sent: ClientMessage[] = [];
  readonly uploads = new Map<string, Uint8Array>();
  readonly world: SessionWorld;
  up = false;
  downloads = 0;
  /** What the coordinator answers to the next messages instead of taking them. */
  refuse: (message: ClientMessage) => CodedError | null = () => null;
  #events: ClientTransportEvents | null = null;

  constructor(world: SessionWorld) {
    this.world = world;
  }

  open(events: ClientTransportEvents): void {
    this.#events = events;
    this.connect();
  }

  connect(): void {
    this.up = true;
    this.#events?.connected();
  }

  disconnect(): void {
    this.up = false;
    this.#events?.disconnected("cut");
  }

  say(message: CoordinatorMessage): void {
    // Over the wire and back: nothing is shared, and the schema holds.
    this.#events?.message(coordinatorMessage.parse(JSON.parse(JSON.stringify(message))));
  }

  async send(message: ClientMessage): Promise<void> {
    await Promise.resolve();
    if (!this.up) throw new CodedError("DISCONNECTED", "cut");
    const refusal = this.refuse(message);
    if (refusal !== null) throw refusal;
    this.sent.push(clientMessage.parse(JSON.parse(JSON.stringify(message))));
  }

  async upload(_sid: Sha256, hash: Sha256, bytes: Uint8Array): Promise<void> {
    if (!this.up) throw new CodedError("DISCONNECTED", "cut");
    this.uploads.set(hash, bytes.slice());
  }

  async download(ref: { sha256: Sha256 }): Promise<Uint8Array> {
    this.downloads++;
    return this.world.blobs.get(ref.sha256) as Uint8Array;
  }

  async chain(after: number) {
    return this.world.chain.linksAfter(after);
  }

  async manifest(version: number): Promise<Uint8Array> {
    const bytes = this.world.manifests.get(version);
    if (bytes === undefined) throw new CodedError("RELEASE_MANIFEST", `version ${version} is not released`);
    return bytes;
  }

  async close(): Promise<void> {
    this.up = false;
  }

  /** The `nth` message of a type (the last when left out), once it has come. */
  async heard<T extends ClientMessage["type"]>(type: T, nth = 0): Promise<Extract<ClientMessage, { type: T }>> {
    const found = await until(() => this.sent.filter((message) => message.type === type)[nth]);
    return found as Extract<ClientMessage, { type: T }>;
  }

  async step(step: Step, sid: string): Promise<SignedStep> {
    return until(() => this.steps(step, sid)[0]);
  }

  steps(step: Step, sid: string): SignedStep[] {
    return this.sent.flatMap((m) =>
      m.type === "step" && m.signed.step === step && m.signed.sid === sid ? [m.signed] : [],
    );
  }
}

export interface Site {
  readonly client: FakeClient;
  readonly session: ClientSession;
  readonly line: FakeLine;
  readonly trainer: FakeTrainer;
  readonly outbox: Omit<OutboxEntry, "at">[];
  readonly scores: LocalScore[];
  readonly logged: { level: string; code: string | undefined; words: string }[];
  readonly approvals: Approval[];
  /** All random bytes the client drew; the same arrays that it holds. */
  readonly drawn: Uint8Array[];
}

export interface SiteOptions {
  readonly policy?: Partial<SitePolicy>;
  readonly approved?: boolean;
  readonly now?: () => number;
  readonly roundLog?: RoundLog;
  readonly ledger?: PrivacyLedger;
  readonly keepResult?: boolean;
  readonly heartbeatMs?: number;
  readonly workplace?: SessionParts["workplace"];
  readonly install?: Workplace["install"];
}

export class SessionWorld {
  readonly fed: FakeFederation;
  readonly config;
  readonly plan: string;
  readonly configHash: Sha256;
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<number, Uint8Array>();
  readonly sites: Site[] = [];
  /** Sessions that ended, as invitations show them. */
  readonly #links: HistoryLink[] = [];
  chain!: ReleaseChain;

  private constructor(fed: FakeFederation, changes: Record<string, unknown>) {
    this.fed = fed;
    this.config = federationConfig.parse({ ...CONFIG, ...changes });
    this.plan = planText(planOf(this.config));
    this.configHash = configHashOf(this.plan);
  }

  static async open(size: number, changes: Record<string, unknown> = {}): Promise<SessionWorld> {
    const world = new SessionWorld(fakeFederation(size), changes);
    const records = new Map<number, VersionRecord>();
    const { crypto, coordinator, trust } = world.fed;
    const { layout } = new FakeTrainer(world.config.labels);
    world.chain = await ReleaseChain.open({
      federation: trust.federation as Sha256,
      configHash: world.configHash,
      layout,
      dtype: "int8",
      keyframeEvery: 10,
      key: coordinator,
      crypto,
      compression: brotli,
      store: {
        versions: async () => [...records.values()],
        putVersion: async (record) => void records.set(record.version, record),
      },
      blobs: {
        put: async (bytes) => {
          const hash = sha256Of(crypto, bytes);
          world.blobs.set(hash, bytes.slice());
          return hash;
        },
        get: async (hash) => world.blobs.get(hash) as Uint8Array,
        delete: async (hash) => void world.blobs.delete(hash),
      },
    });
    await world.chain.commit(0, new Float32Array(layout.length).fill(0.125));
    return world;
  }

  /** Starts client `i`; it connects at once. */
  site(i: number, { approved = true, ...options }: SiteOptions = {}): Site {
    const { crypto, trust, coordinator, clients } = this.fed;
    const client = clients[i] as FakeClient;
    const line = new FakeLine(this);
    const trainer = new FakeTrainer(this.config.labels);
    const site = {
      client,
      line,
      trainer,
      outbox: [],
      scores: [],
      logged: [],
      approvals: [],
      drawn: [],
    } as unknown as Site;
    if (approved) this.approve(site);
    const log = (level: string) => (facts: object, words: string) => {
      site.logged.push({ level, code: (facts as { code?: string }).code, words });
    };
    const random = fixedSecureRng(crypto, `${client.name} ${this.sites.length}`);
    const models = new ModelCache({
      federation: trust.federation as Sha256,
      coordinatorKey: coordinator.publicKey,
      layout: trainer.layout,
      store: new MemoryParamStore(),
      transport: line,
      crypto,
      compression: brotli,
    });
    const parts: SessionParts = {
      self: client,
      pinned: {
        federation: trust.federation as Sha256,
        coordinatorKey: coordinator.publicKey,
        authorityKey: trust.authorityKey,
      },
      policy: { ...sitePolicy.parse({ minCohort: 3 }), ...options.policy },
      transport: line,
      approvals: { covering: async (hash) => site.approvals.find(({ configHash }) => configHash === hash) ?? null },
      roundLog: options.roundLog ?? client.log,
      ledger: options.ledger ?? memoryLedger(),
      outbox: { record: async (entry) => void site.outbox.push(entry()), close: async () => {} },
      crypto,
      random: new SecureRng((bytes) => {
        bytes.set(random.bytes(bytes.length));
        site.drawn.push(bytes);
      }),
      log: { info: log("info"), warn: log("warn"), error: log("error") },
      now: options.now ?? (() => NOW),
      workplace:
        options.workplace ??
        (async () => ({ trainer, models, install: options.install ?? null, dispose: () => trainer.dispose() })),
      keepPlan: async () => {},
      keepScore: async (score) => void site.scores.push(score),
      options: { heartbeatMs: options.heartbeatMs ?? null, approvalPollMs: 5, keepResult: options.keepResult ?? true },
    };
    const started = Object.assign(site, { session: new ClientSession(parts) });
    this.sites.push(started);
    started.session.start();
    return started;
  }

  approve(site: Site): void {
    site.approvals.push({ configHash: this.configHash, at: "2026-01-01T00:00:00Z", by: "test" });
  }

  /** The plan, to a client that is connected; resolves when it is ready. */
  async ready(site: Site): Promise<void> {
    const before = site.line.sent.filter(({ type }) => type === "ready").length;
    site.line.say({ type: "plan", plan: this.plan, configHash: this.configHash });
    await site.line.heard("ready", before);
  }

  open(changes: Partial<SessionContext> = {}): Session {
    const parent = this.chain.newest?.link.paramsHash as Sha256;
    return openSession(this.fed.crypto, {
      federation: this.fed.trust.federation as Sha256,
      purpose: "training",
      round: 1,
      attempt: 0,
      parentHash: parent,
      configHash: this.configHash,
      previousTranscriptDigest: this.#digest(),
      ...changes,
    });
  }

  begin({ sid: _sid, ...session }: Session, key = this.fed.coordinator): CoordinatorMessage {
    const version = this.chain.newest?.version ?? 0;
    const { previousTranscriptDigest: before } = session;
    const whole = before === this.#digest();
    const history = whole ? { before: NO_TRANSCRIPT, links: [...this.#links] } : { before, links: [] };
    const message = { type: "begin" as const, session, version, revoked: null, history };
    return { ...message, signature: messageSignature(key, message) };
  }

  #digest(): Sha256 {
    return this.#links.reduce((digest, link) => nextDigest(digest, link), NO_TRANSCRIPT);
  }

  /** Without a digest the session is part of the history from now on. */
  ended(session: Session, outcome: "completed" | "failed" | "void", digest: Sha256 | null = null): CoordinatorMessage {
    const known = this.#links.some((link) => comparePlaces(link, session) === 0);
    const { purpose, round, attempt } = session;
    if (digest === null && !known) this.#links.push({ purpose, round, attempt, transcript: session.sid as Sha256 });
    const message = {
      type: "ended",
      sid: session.sid as Sha256,
      outcome,
      reason: null,
      transcriptDigest: digest,
    } as const;
    return { ...message, signature: messageSignature(this.fed.coordinator, message) };
  }

  /** A step of the coordinator, rightly signed. */
  announce(
    session: Session,
    step: Announcement,
    payload: Parameters<typeof announce>[4],
    to?: string,
  ): CoordinatorMessage {
    const { crypto, coordinator } = this.fed;
    return { type: "step", signed: announce(crypto, coordinator, session, step, payload, to as never) };
  }

  async stop(): Promise<void> {
    await Promise.all(this.sites.map(({ session }) => session.stop()));
  }
}

/** Waits for something to become true; fails after three seconds. */
export async function until<T>(look: () => T | undefined | null | false): Promise<T> {
  const start = Date.now();
  for (;;) {
    const found = look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() - start > 3_000) throw new Error(`waited in vain for ${look.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
