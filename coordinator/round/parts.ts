/** What a coordinator is made of; `coordinator/main.ts` and simulations put the parts together. */
import type { Unmasker } from "../aggregate/secure-sum.ts";
import type { Happened } from "../audit/acts.ts";
import type { PublishInput } from "../release/publish.ts";
import type { ReleaseChain } from "../release/chain.ts";
import type { Evaluator } from "../evaluate/score.ts";
import type { BlobStore, EnrolledClient, FederationStore } from "../store/port.ts";
import type { CoordinatorTransport } from "../transport/port.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import type { RevocationList } from "../../shared/secagg/certificate.ts";
import type { AgreementKey, CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import type { Clock } from "./clock.ts";
import type { EvidenceFile } from "./evidence.ts";
import type { RoundReport } from "./report.ts";
import type { FederationState, Reason, RoundEvent } from "./state.ts";

/** Told after the fact; what it throws is nobody's business here. */
export interface Observer {
  /** After the event is durable and its state adopted. */
  event?(event: RoundEvent, state: FederationState): void;
  round?(report: RoundReport): void;
  /** A client was refused or left out, with the reason that it was told, too. */
  refused?(client: ClientName, reason: Reason): void;
  /** The port is open under this address. */
  listening?(url: string): void;
  /** Something failed that will be tried again. */
  trouble?(what: string, error: unknown): void;
}

export interface CoordinatorOptions {
  /** connection: for clients in the same process. */
  readonly liveness: "heartbeat" | "connection";
  /** Attempts of one round before it fails. */
  readonly attempts: number;
  /** Rounds that may fail in a row before the federation ends; Infinity: it never gives up. */
  readonly failures: number;
  readonly backoffMs: number;
  readonly tickMs: number;
  /** Overrides `evaluation.every`; 0: never, and no round 0. */
  readonly evaluationEvery?: number;
  /** Ends this process's part after so many completed rounds, where the schedule has more: another goes on. */
  readonly rounds?: number;
  /** Keep the sum of the newest step beside the server's states, so that the step can be checked afterwards. */
  readonly keepSum: boolean;
  /** Overrides `release`: false commits versions without publishing them. */
  readonly publish: boolean;
}

export const DEPLOYED: CoordinatorOptions = {
  liveness: "heartbeat",
  attempts: 5,
  failures: Number.POSITIVE_INFINITY,
  backoffMs: 1_000,
  tickMs: 250,
  // Where one site alone moves a coordinate, the sum is that site's: it stays on no disk that nobody asked for.
  keepSum: false,
  publish: true,
};

export const SIMULATED: CoordinatorOptions = {
  ...DEPLOYED,
  liveness: "connection",
  failures: 3,
  backoffMs: 10,
  keepSum: false,
};

/** Vectors of clients in the coordinator's own process: added up there, without blobs and boxes. */
export interface HandedVectors {
  /**
   * The sum of exactly these vectors of a session, to be changed; it lasts until another session begins. WIRE_HASH where
   * they are not to be had.
   */
  sum(sid: string, vectors: readonly Sha256[]): Words;
  /** These vectors themselves, where they were kept apart; not to be changed, and as lasting. WIRE_HASH as above. */
  each(sid: string, vectors: readonly Sha256[]): readonly Words[];
}

export interface CoordinatorParts {
  readonly config: FederationConfig;
  /** The federation's id. */
  readonly federation: Sha256;
  readonly authorityKey: Uint8Array;
  /** The coordinator's identity, and the X25519 form of the same key for vectors sealed to it. */
  readonly keys: { readonly signing: SigningKey; readonly box: AgreementKey };
  readonly crypto: CryptoPort;
  readonly store: FederationStore;
  readonly blobs: BlobStore;
  /** Left out: vectors are blobs, sealed where aggregation is not secure. */
  readonly handed?: HandedVectors;
  /** Threads that take masks off; left out: this one does. */
  readonly unmasker?: Unmasker;
  readonly transport: CoordinatorTransport;
  readonly clock: Clock;
  readonly layout: ParamLayout;
  /**
   * Deletes blobs that are not in `live` and older than `graceMs`; a blob put or asked for meanwhile stays. Left out where
   * blobs end with the process.
   */
  readonly collect?: (live: ReadonlySet<string>, graceMs: number) => Promise<unknown>;
  /** Only asked for when the federation begins. */
  readonly initialParams: () => Promise<Float32Array>;
  readonly evaluator: Evaluator;
  readonly chain: Pick<ReleaseChain, "newest" | "commit" | "settle" | "link" | "linksAfter" | "manifest" | "version">;
  readonly publish: (input: PublishInput) => Promise<{ readonly hash: Sha256 }>;
  /** Keeps a signed transcript under a name such as `0003-training-1`; may be asked twice. */
  readonly keepTranscript: (name: string, text: string) => Promise<void>;
  /** Keeps what a session's sum was made of under the transcript's name; may be asked twice. Left out: nowhere. */
  readonly keepEvidence?: (name: string, files: () => AsyncIterable<EvidenceFile>) => Promise<void>;
  /** The audit log; left out: none. */
  readonly audit?: (happened: readonly Happened[]) => Promise<void>;
  /** Who belongs to the federation now. */
  readonly enrolled: () => readonly EnrolledClient[];
  /** The authority's newest list. */
  readonly revocations: () => RevocationList | null;
  /** Hands the event loop on during long computations. */
  readonly pause: () => Promise<void>;
  readonly observer: Observer;
  readonly options: CoordinatorOptions;
}
