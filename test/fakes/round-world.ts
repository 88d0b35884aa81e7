/**
 * A whole federation in one process with everything a test wants to break: the shipped coordinator and one shipped client
 * session per trainer, over memory. Clients leave as if killed and come back; so does the coordinator.
 */
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ModelCache } from "../../client/model-cache/cache.ts";
import { MemoryPersonalStore } from "../../client/model-cache/personal.ts";
import { MemoryParamStore, type ParamStore } from "../../client/model-cache/store.ts";
import { NO_OUTBOX } from "../../client/outbox/outbox.ts";
import { memoryLedger } from "../../client/policy/privacy-ledger.ts";
import { memoryRoundLog, type RoundLog } from "../../client/secagg/round-log.ts";
import { ClientSession } from "../../client/session.ts";
import { copyKeeper } from "../../client/session/copies.ts";
import type { Log, SessionParts, Told } from "../../client/session/ports.ts";
import { sitePaths } from "../../client/site-folder.ts";
import type { Trainer } from "../../client/training/trainer.ts";
import { roundAudit } from "../../coordinator/audit/log.ts";
import { createCoordinator, type Coordinator } from "../../coordinator/create.ts";
import { evaluatorOf } from "../../coordinator/evaluate/score.ts";
import { ReleaseChain } from "../../coordinator/release/chain.ts";
import { publish } from "../../coordinator/release/publish.ts";
import { systemClock, type Clock } from "../../coordinator/round/clock.ts";
import {
  SIMULATED,
  type CoordinatorOptions,
  type CoordinatorParts,
  type Observer,
} from "../../coordinator/round/parts.ts";
import type { Reason } from "../../coordinator/round/state.ts";
import { MemoryBlobs, MemoryStore } from "../../coordinator/store/memory.ts";
import type { BlobStore, FederationStore } from "../../coordinator/store/port.ts";
import { KEYS_FILE, keysFileText } from "../../coordinator/transcript/folder.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../../shared/config/plan.ts";
import { sitePolicy } from "../../shared/config/site.ts";
import { clientName, type ClientName, type Sha256 } from "../../shared/ids.ts";
import { brotli } from "../../shared/node/brotli.ts";
import { AuditFile } from "../../shared/node/audit-file.ts";
import { keepEvidence } from "../../shared/node/evidence-folder.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { NodeCrypto, systemRandom } from "../../shared/node/crypto.ts";
import { boxSecretOfSeed } from "../../shared/secagg/box-key.ts";
import {
  issueCertificate,
  issueRevocationList,
  type Certificate,
  type RevocationList,
} from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { federationId } from "../../shared/secagg/session.ts";
import type { SiteCopy } from "../../shared/transcript/copy.ts";
import { withVerificationCache } from "../../shared/secagg/verification-cache.ts";
import { InMemoryNetwork, type InMemoryOptions } from "../../simulations/in-memory-transport.ts";

export interface RoundWorldParts {
  /** The coordinator's; by default other messages get their turn. */
  readonly pause?: () => Promise<void>;
  /** Changes to a small configuration. */
  readonly config?: Record<string, unknown>;
  readonly trainers: (config: FederationConfig) => Readonly<Record<string, Trainer>>;
  /** Version 0, that long. */
  readonly begin?: (length: number) => Float32Array;
  readonly options?: Partial<CoordinatorOptions>;
  readonly observer?: Observer;
  readonly network?: Omit<InMemoryOptions, "blobs">;
  readonly heartbeatMs?: number;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Wraps the stores, to make them fail. */
  readonly store?: (store: MemoryStore) => FederationStore;
  readonly blobs?: (blobs: MemoryBlobs) => BlobStore;
  readonly collect?: CoordinatorParts["collect"];
  /** Where transcripts, evidence, releases and public keys are written as a coordinator writes them; left out: nowhere. */
  readonly folder?: string;
}

const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };
const YEAR_MS = 366 * 86_400_000;

export class RoundWorld {
  /** What the next coordinator is booted with. */
  config: FederationConfig;
  readonly store = new MemoryStore();
  readonly blobs = new MemoryBlobs();
  readonly network: InMemoryNetwork;
  readonly transcripts = new Map<string, string>();
  readonly names: readonly ClientName[];
  coordinator!: Coordinator;
  chain!: ReleaseChain;
  readonly #parts: RoundWorldParts;
  readonly #clock: Clock;
  readonly #crypto: CryptoPort = withVerificationCache(new NodeCrypto());
  readonly #random = systemRandom();
  readonly #trainers: Readonly<Record<string, Trainer>>;
  /** The authority's key: for a test that signs in its name. */
  readonly authority = this.#crypto.signingKey(this.#random.bytes(32));
  readonly #seed = this.#random.bytes(32);
  /** The coordinator's. */
  readonly signing = this.#crypto.signingKey(this.#seed);
  readonly #federation: Sha256;
  readonly #sessions = new Map<ClientName, ClientSession>();
  readonly #logs = new Map<ClientName, RoundLog>();
  readonly #told = new Map<ClientName, Told>();
  readonly #params = new Map<ClientName, ParamStore>();
  /** What each client keeps for itself, where its trainer has something; it survives {@link leave}. */
  readonly personal = new Map<ClientName, MemoryPersonalStore>();
  #keys: readonly { readonly name: ClientName; readonly signingKey: SigningKey; readonly certificate: Certificate }[];
  #revocations: RevocationList | null = null;
  /** Which coordinator's process it is; a killed one's number is gone. */
  #process = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: RoundWorldParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.config = federationConfig.parse({
      federation: "test",
      labels: { segmentation: ["a", "b"], scene: ["x", "y"], depth: { kind: "none" } },
      schedule: { rounds: 2, cohort: { min: 3, max: 16 }, minSurvivors: 3 },
      ...parts.config,
    });
    this.#trainers = parts.trainers(this.config);
    this.names = Object.keys(this.#trainers).map((name) => clientName.parse(name));
    this.#federation = federationId(this.#crypto, this.config.federation, this.authority.publicKey);
    this.network = new InMemoryNetwork({ ...parts.network, blobs: this.blobs });
    this.#keys = this.names.map((name) => this.#enrol(name));
  }

  #enrol(name: ClientName) {
    const now = this.#clock.now();
    const signingKey = this.#crypto.signingKey(this.#random.bytes(32));
    const certificate = issueCertificate(this.authority, {
      federation: this.#federation,
      name,
      key: toBase64(signingKey.publicKey),
      serial: bytesToHex(this.#random.bytes(8)),
      issuedAt: Math.floor(now),
      expiresAt: Math.ceil(now) + YEAR_MS,
    });
    return { name, signingKey, certificate };
  }

  /** The site has lost its keys and was enrolled again, with new ones, for its next {@link join}. */
  enrolAgain(name: string): void {
    this.#keys = this.#keys.map((client) => (client.name === name ? this.#enrol(client.name) : client));
  }

  /** Builds the coordinator's process; after {@link killCoordinator}, a new one over the same stores. */
  async boot(): Promise<Coordinator> {
    const { config, store, blobs, network, transcripts } = this;
    const first = Object.values(this.#trainers)[0];
    if (first === undefined) throw new Error("no trainers");
    const { layout, statistics } = first;
    const wrapped = this.#parts.store?.(store) ?? store;
    const wrappedBlobs = this.#parts.blobs?.(blobs) ?? blobs;
    const { dtype, keyframeEvery } = config.release;
    this.chain = await ReleaseChain.open({
      federation: this.#federation,
      configHash: configHashOf(planText(planOf(config))),
      layout,
      dtype,
      keyframeEvery,
      key: this.signing,
      crypto: this.#crypto,
      compression: brotli,
      store: wrapped,
      blobs: wrappedBlobs,
    });
    const { folder } = this.#parts;
    const context = {
      chain: this.chain,
      name: config.federation,
      config,
      folder: folder === undefined ? null : join(folder, "releases"),
    };
    const process = ++this.#process;
    if (folder !== undefined) {
      const hex = (key: SigningKey) => bytesToHex(key.publicKey) as Sha256;
      const [authorityKey, coordinatorKey] = [hex(this.authority), hex(this.signing)];
      const named = { federation: config.federation, federationId: this.#federation };
      await writeFileDurably(join(folder, KEYS_FILE), keysFileText({ ...named, authorityKey, coordinatorKey }));
    }
    this.coordinator = createCoordinator({
      config,
      federation: this.#federation,
      authorityKey: this.authority.publicKey,
      keys: { signing: this.signing, box: this.#crypto.agreementKey(boxSecretOfSeed(this.#seed)) },
      crypto: this.#crypto,
      store: wrapped,
      blobs: wrappedBlobs,
      ...(this.#parts.collect !== undefined && { collect: this.#parts.collect }),
      transport: network.coordinator(),
      clock: this.#clock,
      layout,
      initialParams: async () => this.#parts.begin?.(layout.length) ?? new Float32Array(layout.length).fill(0.125),
      evaluator: evaluatorOf(statistics),
      chain: this.chain,
      publish: (input) => publish(context, input),
      ...(folder !== undefined && { audit: this.#ofProcess(process, await this.#audit(folder)) }),
      keepTranscript: async (name, text) => {
        transcripts.set(name, text);
        if (folder !== undefined) await writeFileDurably(join(folder, "transcripts", `${name}.json`), text);
      },
      ...(folder !== undefined && {
        keepEvidence: (name, files) =>
          keepEvidence(join(folder, "evidence"), name, files, config.transcripts.keepInputs),
      }),
      enrolled: () =>
        this.#keys.map(({ name, signingKey, certificate }) => ({
          name,
          signingKey: bytesToHex(signingKey.publicKey) as Sha256,
          certificate: JSON.stringify(certificate),
          enrolledAt: certificate.issuedAt,
          revoked: false,
        })),
      revocations: () => this.#revocations,
      pause: this.#parts.pause ?? nextTurn,
      observer: this.#parts.observer ?? {},
      options: { ...SIMULATED, ...this.#parts.options },
    });
    return this.coordinator;
  }

  /** Everybody joins, and the federation runs to its end. */
  async run(): Promise<Reason> {
    const coordinator = await this.boot();
    for (const name of this.names) this.join(name);
    return coordinator.run();
  }

  /** A client's process begins; its round log and params survive {@link leave}, its secrets do not. */
  join(name: string): ClientSession {
    const self = this.#keys.find((client) => client.name === name);
    const trainer = this.#trainers[name];
    if (self === undefined || trainer === undefined) throw new Error(`no client ${name}`);
    const transport = this.network.client(self.name);
    const roundLog = this.#logs.get(self.name) ?? memoryRoundLog();
    this.#logs.set(self.name, roundLog);
    const store = this.#params.get(self.name) ?? new MemoryParamStore();
    this.#params.set(self.name, store);
    const personal = this.personal.get(self.name) ?? new MemoryPersonalStore();
    if (trainer.personal !== undefined) this.personal.set(self.name, personal);
    const { config } = this;
    const coordinatorKey = this.signing.publicKey;
    const federation = this.#federation;
    const own = { federation, coordinatorKey, layout: trainer.layout, crypto: this.#crypto, compression: brotli };
    const session = new ClientSession({
      self,
      pinned: { federation, coordinatorKey, authorityKey: this.authority.publicKey },
      policy: sitePolicy.parse({
        approve: "once",
        minCohort: config.schedule.minSurvivors,
        minSurvivors: config.schedule.minSurvivors,
        requireSecureAggregation: config.secureAggregation.mode,
        models: [config.model.name],
      }),
      transport,
      approvals: { covering: async (configHash) => ({ configHash, at: new Date(0).toISOString(), by: "test" }) },
      roundLog,
      ledger: memoryLedger(),
      ...this.#records(self.name, self.signingKey),
      outbox: NO_OUTBOX,
      crypto: this.#crypto,
      random: this.#random,
      log: this.#parts.log ?? SILENT,
      now: () => Math.floor(this.#clock.now()),
      workplace: async () => ({
        trainer,
        models: new ModelCache({ ...own, store, transport }),
        ...(trainer.personal !== undefined && { personal }),
        install: null,
        dispose: () => {},
      }),
      keepPlan: async () => {},
      keepScore: async () => {},
      pause: nextTurn,
      options: { heartbeatMs: this.#parts.heartbeatMs ?? null, approvalPollMs: 1_000, keepResult: true },
    });
    this.#sessions.set(self.name, session);
    session.start();
    return session;
  }

  /** What a site writes down, where there is a folder: its copies of sessions and its audit log. */
  #records(name: ClientName, key: SigningKey): Pick<SessionParts, "audit" | "keepCopy" | "told"> {
    const told = this.#told.get(name) ?? null;
    if (this.#parts.folder === undefined) return { told };
    const paths = sitePaths(join(this.#parts.folder, "sites", name));
    const audit = new AuditFile(paths.audit);
    void audit.append({ act: "site joined", facts: { client: name } });
    const keep = copyKeeper(paths.transcripts);
    const keepCopy = async (copy: SiteCopy): Promise<void> => {
      const digest = copy.ended?.transcriptDigest ?? null;
      const { purpose, round, attempt } = copy.invitation.session;
      if (digest !== null) this.#told.set(name, { place: { purpose, round, attempt }, digest });
      await keep(copy);
    };
    return { told, keepCopy, audit: { append: audit.append, sign: (...acts) => audit.sign(key, ...acts) } };
  }

  /** With which a client signs: for a test that speaks in its name. */
  keyOf(name: string): SigningKey {
    const own = this.#keys.find((client) => client.name === name);
    if (own === undefined) throw new Error(`no client ${name}`);
    return own.signingKey;
  }

  /** The authority revokes a membership. */
  revoke(name: string): void {
    const serials = this.#keys.filter((client) => client.name === name).map(({ certificate }) => certificate.serial);
    const version = (this.#revocations?.version ?? 0) + 1;
    this.#revocations = issueRevocationList(this.authority, { federation: this.#federation, version, serials });
  }

  /** The client's process is killed: the connection breaks without a word, and its secrets are gone. */
  leave(name: string): void {
    const session = this.#sessions.get(name as ClientName);
    if (session === undefined) return;
    this.#sessions.delete(name as ClientName);
    this.network.forget(name as ClientName);
    void session.stop();
  }

  /** The coordinator's process is killed: nothing it held in memory is left. Its store must not answer it any more. */
  async killCoordinator(): Promise<void> {
    this.#process++;
    // Only its timers need an end; what it waits for never comes.
    void this.coordinator.close();
    await this.network.coordinator().stop();
    await this.#writing;
  }

  #audit(folder: string): ReturnType<typeof roundAudit> {
    return roundAudit(new AuditFile(join(folder, "audit.jsonl")), this.signing);
  }

  /** A killed process writes no more: what it was about to write never comes. */
  #ofProcess<T>(process: number, write: (of: T) => Promise<void>): (of: T) => Promise<void> {
    return (of) => {
      if (process !== this.#process) return new Promise(() => {});
      const written = write(of);
      this.#writing = written.catch(() => undefined);
      return written;
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.stop()));
    await this.coordinator.close();
  }
}

/** Timers and messages get their turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
