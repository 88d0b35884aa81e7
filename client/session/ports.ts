/** What a session is made of; `client/main.ts` puts the deployed parts together, simulations put in lighter ones. */
import type { Audit } from "../../shared/audit/entry.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { Certificate, RevocationList } from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import type { Masker, Words } from "../../shared/secagg/mask.ts";
import type { Place } from "../../shared/secagg/transcript.ts";
import type { SiteCopy } from "../../shared/transcript/copy.ts";
import type { ModelCache } from "../model-cache/cache.ts";
import type { Judge } from "../model-cache/install.ts";
import type { PersonalStore } from "../model-cache/personal.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { Approvals } from "../plan/approvals.ts";
import type { Reading } from "../secagg/reading.ts";
import type { PrivacyLedger } from "../policy/privacy-ledger.ts";
import type { RoundLog } from "../secagg/round-log.ts";
import type { Trainer } from "../training/trainer.ts";
import type { ClientTransport } from "../transport/port.ts";

/** The part of pino that is used: facts first, then words. */
export interface Log {
  info(facts: object, words: string): void;
  warn(facts: object, words: string): void;
  error(facts: object, words: string): void;
}

export interface Self {
  readonly name: ClientName;
  readonly signingKey: SigningKey;
  readonly certificate: Certificate;
}

/** Pinned when the site joined. */
export interface Pinned {
  readonly federation: Sha256;
  readonly coordinatorKey: Uint8Array;
  readonly authorityKey: Uint8Array;
}

/** The newest list of revoked members seen: kept over restarts, so that a coordinator cannot take one back. */
export interface Revocations {
  readonly held: RevocationList | null;
  keep(list: RevocationList): void;
}

/** How a session ended that this client was in, as the coordinator signed it. */
export interface Told {
  readonly place: Place;
  readonly digest: Sha256;
}

/** Durable when resolved; `sign` puts a checkpoint behind the acts. */
interface AuditLog {
  readonly append: Audit;
  readonly sign: Audit;
}

/** The versions that this site has, or can have. */
export type Models = Pick<ModelCache, "installed" | "ensure" | "link">;

/** What one plan is worked on with. */
export interface Workplace {
  readonly trainer: Trainer;
  readonly models: Models;
  /** What this site keeps for itself; left out where the trainer has no personal params. */
  readonly personal?: PersonalStore;
  /**
   * Takes a release with this signed manifest into use once `judge` has scored it (`client/model-cache/install.ts`);
   * null where nobody uses the models: then a release is only verified and scored.
   */
  readonly install: ((manifest: Uint8Array, judge: Judge, signal: AbortSignal) => Promise<unknown>) | null;
  /** Folder where training under way is saved; left out: nowhere. */
  readonly checkpoints?: string;
  dispose(): void;
}

/** The score of a release on this site's own held-out data. */
export interface LocalScore {
  readonly version: number;
  readonly paramsHash: string;
  /** What was scored: the version itself, or the quantized `model/` that is used. */
  readonly of: "params" | "model";
  readonly metrics: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly samples: number;
}

export interface SessionParts {
  readonly self: Self;
  readonly pinned: Pinned;
  readonly policy: SitePolicy;
  readonly transport: ClientTransport;
  readonly approvals: Approvals;
  readonly roundLog: RoundLog;
  /** What this site has spent of its privacy. */
  readonly ledger: PrivacyLedger;
  /** Left out: a list is known as long as the process lives. */
  readonly revocations?: Revocations;
  /** How the session ended that this site was told of last; left out: nothing is known from before. */
  readonly told?: Told | null;
  /** The session after that one, that this site revealed shares in; left out: nothing is known from before. */
  readonly revealed?: Place | null;
  /** Keeps what this site signed and saw of a session; durable when resolved. Left out: nowhere. */
  readonly keepCopy?: (copy: SiteCopy) => Promise<void>;
  /** The site's audit log; left out: none. */
  readonly audit?: AuditLog;
  readonly outbox: Outbox;
  readonly crypto: CryptoPort;
  readonly random: SecureRng;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Opens data and engine for an approved plan; what it throws ends the session. */
  readonly workplace: (plan: TrainingPlan) => Promise<Workplace>;
  /** Keeps the plan where `allulook plan show` finds it. */
  readonly keepPlan: (text: string) => Promise<void>;
  /** Local record of scores; never sent. */
  readonly keepScore: (score: LocalScore) => Promise<void>;
  /** Hands the event loop on during long computations, so that heartbeats go out. */
  readonly pause?: () => Promise<void>;
  /** Where vectors are masked; by default on this thread. */
  readonly masker?: Masker;
  /** What is shown to everyone, read together with other clients of this process. */
  readonly reading?: Reading;
  /**
   * Memory of that many words for one vector, every word of which is written. Only where the coordinator is this very
   * process: vectors then go over where they are, and without secure aggregation need no box. Waits its turn, or throws
   * the signal's reason. Left out: memory of its own.
   */
  readonly room?: (words: number, signal: AbortSignal) => Promise<Words>;
  readonly options: SessionOptions;
}

interface SessionOptions {
  /** null: no heartbeats, where the transport itself tells who is there. */
  readonly heartbeatMs: number | null;
  /** How often the approvals are read again while a plan waits for one. */
  readonly approvalPollMs: number;
  /** Keep the result of training for another attempt of the same round; else it is trained again, to the same bits. */
  readonly keepResult: boolean;
}
