/**
 * A whole federation in one process: the shipped coordinator and the shipped client sessions over an in-memory
 * transport, with real keys, certificates, masks and signatures. Time, sockets and disks are lighter, and nothing is copied
 * that both ends can see (docs/decisions/one-process.md).
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { NO_OUTBOX } from "../client/outbox/outbox.ts";
import { sharedReading } from "../client/secagg/reading.ts";
import { memoryLedger } from "../client/policy/privacy-ledger.ts";
import { memoryRoundLog } from "../client/secagg/round-log.ts";
import { ClientSession } from "../client/session.ts";
import { MemoryPersonalStore } from "../client/model-cache/personal.ts";
import type { Log } from "../client/session/ports.ts";
import type { Trainer } from "../client/training/trainer.ts";
import { createCoordinator } from "../coordinator/create.ts";
import { evaluatorOf } from "../coordinator/evaluate/score.ts";
import { ReleaseChain } from "../coordinator/release/chain.ts";
import { publish, type Release } from "../coordinator/release/publish.ts";
import { systemClock } from "../coordinator/round/clock.ts";
import { SIMULATED, type CoordinatorOptions, type Observer } from "../coordinator/round/parts.ts";
import type { RoundReport } from "../coordinator/round/report.ts";
import type { Reason } from "../coordinator/round/state.ts";
import { MemoryBlobs, MemoryStore } from "../coordinator/store/memory.ts";
import type { EnrolledClient } from "../coordinator/store/port.ts";
import { KEYS_FILE, keysFileText } from "../coordinator/transcript/folder.ts";
import { metricsFromStatistics, type Metrics } from "../models/metrics/statistics.ts";
import { canonicalJson } from "../shared/canonical.ts";
import type { FederationConfig } from "../shared/config/federation.ts";
import { configHashOf, planOf, planText } from "../shared/config/plan.ts";
import { sitePolicy } from "../shared/config/site.ts";
import type { ClientName, Sha256 } from "../shared/ids.ts";
import { brotli } from "../shared/node/brotli.ts";
import { NodeCrypto, systemRandom } from "../shared/node/crypto.ts";
import { MaskPool } from "../shared/node/mask-pool.ts";
import { keepEvidence } from "../shared/node/evidence-folder.ts";
import { writeFileDurably } from "../shared/node/files.ts";
import type { SecureRng } from "../shared/rng/secure.ts";
import { boxSecretOfSeed } from "../shared/secagg/box-key.ts";
import { issueCertificate, type Certificate } from "../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../shared/secagg/crypto-port.ts";
import { toBase64 } from "../shared/secagg/encoding.ts";
import { federationId } from "../shared/secagg/session.ts";
import { withVerificationCache } from "../shared/secagg/verification-cache.ts";
import { InMemoryNetwork } from "./in-memory-transport.ts";
import type { SavedSimulation, Seeds } from "./saved-simulation.ts";
import { SharedModels } from "./shared-models.ts";
import { SharedVectors } from "./shared-vectors.ts";

export interface SimulatedFederation {
  readonly config: FederationConfig;
  /** Stable client names: seeds derive from them. All trainers have one layout. */
  readonly trainers: ReadonlyMap<ClientName, Trainer>;
  readonly initialParams: () => Promise<Float32Array>;
  /** Where releases/ and transcripts/ are written; null: nowhere. */
  readonly out: string | null;
  readonly observer?: Observer;
  readonly options?: Partial<CoordinatorOptions>;
  readonly log?: Log;
  /** Bytes of the base that the configuration names. */
  readonly base?: Uint8Array | null;
  /** Count bytes of control messages, too. */
  readonly countMessages?: boolean;
  /** Goes on from there; the configuration and the clients must be the same. */
  readonly saved?: SavedSimulation;
}

export interface SimulationResult {
  /** Why it ended. */
  readonly reason: Reason;
  readonly rounds: readonly RoundReport[];
  /** Newest version R, its hash, and its release where one was published. */
  readonly params: Float32Array;
  readonly version: number;
  readonly paramsHash: Sha256;
  readonly parentHash: Sha256 | null;
  readonly release: Release | null;
  /** From which more rounds can be simulated. */
  /** What each client has kept for itself, where it has something. */
  readonly personal: ReadonlyMap<ClientName, Float32Array>;
  readonly saved: SavedSimulation;
}

/** Neighbours, and some besides. */
const SIGNATURES_A_CLIENT = 300;

const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} };
/** Long enough for any simulation; certificates are made anew for each. */
const VALID_MS = 366 * 86_400_000;

/** How long a retry looks for more clients where all are in this process: whoever was left out does not come back. */
const RETRY_MS = 5_000;

/** The recruiting deadline is the coordinator's own: the training plan and its hash stay as they are. */
function withoutReturners(config: FederationConfig): FederationConfig {
  const { schedule } = config;
  const recruit = Math.min(schedule.phaseDeadlines.recruit, RETRY_MS);
  return { ...config, schedule: { ...schedule, phaseDeadlines: { ...schedule.phaseDeadlines, recruit } } };
}

/** Runs the federation to its stop rule. `signal` ends it after the round under way. */
export async function simulateFederation(
  setting: SimulatedFederation,
  signal?: AbortSignal,
): Promise<SimulationResult> {
  const { config, trainers, out } = setting;
  // In a large cohort a client's share is verified by the coordinator, and again by whom it is for.
  const crypto = withVerificationCache(new NodeCrypto(), Math.max(20_000, SIGNATURES_A_CLIENT * trainers.size));
  const random = systemRandom();
  const [first] = trainers.values();
  if (first === undefined) throw new Error("a federation has clients");
  const { layout, statistics } = first;

  const seeds = setting.saved?.seeds ?? newSeeds(random, [...trainers.keys()]);
  const keys = {
    signing: crypto.signingKey(seeds.coordinator),
    box: crypto.agreementKey(boxSecretOfSeed(seeds.coordinator)),
  };
  const members = enrol(crypto, seeds, config.federation);
  const store = setting.saved === undefined ? new MemoryStore() : MemoryStore.of(setting.saved.store);
  const blobs = new MemoryBlobs();
  for (const [hash, bytes] of setting.saved?.blobs ?? []) blobs.adopt(hash, bytes);
  const { wordBits, mode } = config.secureAggregation;
  const apart = config.aggregation.rule !== "mean";
  const vectors = new SharedVectors(wordBits, mode === "off" ? 0 : availableParallelism(), undefined, apart);
  // Vectors that are kept are added up as they would be at a coordinator far away.
  const keepsInputs = config.transcripts.keepInputs > 0;
  const countMessages = setting.countMessages ?? false;
  const network = new InMemoryNetwork({ blobs, ...(!keepsInputs && { vectors }), countMessages });
  const chain = await ReleaseChain.open({
    federation: members.federation,
    configHash: configHashOf(planText(planOf(config))),
    layout,
    dtype: config.release.dtype,
    keyframeEvery: config.release.keyframeEvery,
    key: keys.signing,
    crypto,
    compression: brotli,
    store,
    blobs,
  });
  const folder = out === null ? null : join(out, "releases");
  if (out !== null)
    await writeFileDurably(join(out, KEYS_FILE), keysFileText(publicKeys(config.federation, members, keys.signing)));
  const context = { chain, name: config.federation, config, folder, base: setting.base ?? null };
  const stores = personalStores(trainers, setting.saved);
  // In one process the held-out data is at hand: a model that lost too much is scored again with its fallbacks.
  const measure = (params: Float32Array) => scoreOnAll(trainers, stores, statistics, params);
  let release: Release | null = null;
  const rounds = (await store.rounds()).map(({ report }) => JSON.parse(report) as RoundReport);
  const masking = new MaskPool(availableParallelism());
  const coordinator = createCoordinator({
    config: withoutReturners(config),
    federation: members.federation,
    authorityKey: members.authorityKey,
    keys,
    crypto,
    store,
    blobs,
    ...(!keepsInputs && { handed: vectors }),
    unmasker: { threads: availableParallelism(), mask: masking.mask },
    transport: network.coordinator(),
    clock: systemClock,
    layout,
    initialParams: setting.initialParams,
    evaluator: evaluatorOf(statistics, config.model.own),
    chain,
    publish: async (round) => (release = await publish(context, { ...round, measure })),
    keepTranscript: async (name, text) => {
      if (out !== null) await writeFileDurably(join(out, "transcripts", `${name}.json`), text);
    },
    ...(out !== null && {
      keepEvidence: (name, files) => keepEvidence(join(out, "evidence"), name, files, config.transcripts.keepInputs),
    }),
    enrolled: () => members.enrolled,
    revocations: () => null,
    pause: () => new Promise((done) => setImmediate(done)),
    observer: {
      ...setting.observer,
      event: (event, state) => {
        vectors.heard(event, state);
        setting.observer?.event?.(event, state);
      },
      round: (report) => {
        rounds.push(report);
        setting.observer?.round?.(report);
      },
    },
    options: { ...SIMULATED, ...setting.options },
  });

  const reading = sharedReading();
  const sessions = members.clients.map(({ name, signingKey, certificate }) => {
    return new ClientSession({
      self: { name, signingKey, certificate },
      pinned: {
        federation: members.federation,
        coordinatorKey: keys.signing.publicKey,
        authorityKey: members.authorityKey,
      },
      policy: sitePolicy.parse({
        minCohort: config.schedule.cohort.min,
        minSurvivors: config.schedule.minSurvivors,
        requireSecureAggregation: config.secureAggregation.mode,
        minCorruptionRate: config.secureAggregation.corruptionRate,
        models: [config.model.name],
      }),
      transport: network.client(name),
      approvals: {
        covering: async (configHash) => ({ configHash, at: new Date(0).toISOString(), by: "simulation" }),
      },
      roundLog: memoryRoundLog(),
      ledger: memoryLedger(),
      outbox: NO_OUTBOX,
      crypto,
      random,
      log: setting.log ?? SILENT,
      now: Date.now,
      workplace: async () => ({
        trainer: trainers.get(name) as Trainer,
        models: new SharedModels(chain, (bytes) => network.spared(bytes)),
        ...(stores.has(name) && { personal: stores.get(name) as MemoryPersonalStore }),
        install: null,
        dispose: () => {},
      }),
      keepPlan: async () => {},
      keepScore: async () => {},
      masker: masking.mask,
      ...(!keepsInputs && { room: vectors.room }),
      reading,
      options: { heartbeatMs: null, approvalPollMs: 1_000, keepResult: false },
    });
  });

  const stop = () => void coordinator.stop("interrupted").catch(() => undefined);
  signal?.addEventListener("abort", stop, { once: true });
  // The coordinator's timers do not keep a process alive; its rounds do.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    for (const session of sessions) session.start();
    const reason = await coordinator.run();
    const newest = chain.newest;
    if (newest === null) throw new Error("the federation ended before it began");
    const { params, version, link } = newest;
    const { paramsHash, parentHash } = link;
    await coordinator.close();
    const saved = { seeds, store: store.save(), blobs: blobs.entries(), personal: entriesOf(stores) };
    const personal = await newestOf(stores);
    return { reason, rounds, params, version, paramsHash, parentHash, release, personal, saved };
  } finally {
    clearInterval(alive);
    signal?.removeEventListener("abort", stop);
    await Promise.all(sessions.map((session) => session.stop()));
    await coordinator.close();
    await masking.close();
  }
}

type PersonalStores = ReadonlyMap<ClientName, MemoryPersonalStore>;

/** A store in memory for every client whose trainer keeps something. */
function personalStores(trainers: ReadonlyMap<ClientName, Trainer>, saved?: SavedSimulation): PersonalStores {
  const keeping = [...trainers].filter(([, { personal }]) => personal !== undefined);
  return new Map(keeping.map(([name]) => [name, new MemoryPersonalStore(saved?.personal.get(name))]));
}

function entriesOf(stores: PersonalStores): SavedSimulation["personal"] {
  return new Map([...stores].map(([name, store]) => [name, store.entries()]));
}

async function newestOf(stores: PersonalStores): Promise<ReadonlyMap<ClientName, Float32Array>> {
  const newest = new Map<ClientName, Float32Array>();
  for (const [name, store] of stores) {
    const own = await store.through(Number.POSITIVE_INFINITY);
    if (own !== null) newest.set(name, own);
  }
  return newest;
}

interface Members {
  readonly federation: Sha256;
  readonly authorityKey: Uint8Array;
  readonly enrolled: readonly EnrolledClient[];
  readonly clients: readonly {
    readonly name: ClientName;
    readonly signingKey: SigningKey;
    readonly certificate: Certificate;
  }[];
}

function publicKeys(
  federation: string,
  { federation: federationId, authorityKey }: Members,
  coordinator: SigningKey,
): Parameters<typeof keysFileText>[0] {
  const hex = (key: Uint8Array) => Buffer.from(key).toString("hex") as Sha256;
  return { federation, federationId, authorityKey: hex(authorityKey), coordinatorKey: hex(coordinator.publicKey) };
}

function newSeeds(random: SecureRng, names: readonly ClientName[]): Seeds {
  return {
    coordinator: random.bytes(32),
    authority: random.bytes(32),
    clients: new Map(names.map((name) => [name, random.bytes(32)])),
  };
}

function enrol(crypto: CryptoPort, seeds: Seeds, name: string): Members {
  const authority = crypto.signingKey(seeds.authority);
  const federation = federationId(crypto, name, authority.publicKey);
  const now = Date.now();
  const clients = [...seeds.clients].map(([client, seed], index) => {
    const signingKey = crypto.signingKey(seed);
    const certificate = issueCertificate(authority, {
      federation,
      name: client,
      key: toBase64(signingKey.publicKey),
      issuedAt: now - 1_000,
      expiresAt: now + VALID_MS,
      serial: index.toString(16).padStart(16, "0"),
    });
    return { name: client, signingKey, certificate };
  });
  const enrolled = clients.map(({ name: client, signingKey, certificate }) => ({
    name: client,
    signingKey: Buffer.from(signingKey.publicKey).toString("hex") as Sha256,
    certificate: canonicalJson(certificate),
    enrolledAt: now,
    revoked: false,
  }));
  return { federation, authorityKey: authority.publicKey, enrolled, clients };
}

async function scoreOnAll(
  trainers: ReadonlyMap<ClientName, Trainer>,
  stores: PersonalStores,
  statistics: Trainer["statistics"],
  params: Float32Array,
): Promise<Metrics> {
  const { signal } = new AbortController();
  const total = new Float64Array(statistics.length);
  const scored = [...trainers].map(async ([name, trainer]) => {
    const own = await stores.get(name)?.through(Number.POSITIVE_INFINITY);
    return trainer.evaluate(params, signal, own ?? undefined);
  });
  for (const counts of await Promise.all(scored)) {
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (counts[i] as number);
  }
  return metricsFromStatistics(statistics, total);
}
