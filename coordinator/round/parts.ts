/** What a coordinator is made of; `coordinator/main.ts` and simulations put the parts together. */
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
import type { Clock } from "./clock.ts";
import type { RoundReport } from "./report.ts";
import type { FederationState, Reason, RoundEvent } from "./state.ts";

/** Told after the fact; what it throws is nobody's business here. */
export interface Observer {
  /** After the event is durable and its state adopted. */
  event?(event: RoundEvent, state: FederationState): void;
  round?(report: RoundReport): void;
  /** A client was refused or left out, with the reason that it was told, too. */
  refused?(client: ClientName, reason: Reason): void;
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
  /** Overrides `release`: false commits versions without publishing them. */
  readonly publish: boolean;
}

export const DEPLOYED: CoordinatorOptions = {
  liveness: "heartbeat",
  attempts: 5,
  failures: Number.POSITIVE_INFINITY,
  backoffMs: 1_000,
  tickMs: 250,
  publish: true,
};

export const SIMULATED: CoordinatorOptions = {
  ...DEPLOYED,
  liveness: "connection",
  failures: 3,
  backoffMs: 10,
};

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
  readonly transport: CoordinatorTransport;
  readonly clock: Clock;
  readonly layout: ParamLayout;
  /** Only asked for when the federation begins. */
  readonly initialParams: () => Promise<Float32Array>;
  readonly evaluator: Evaluator;
  readonly chain: Pick<ReleaseChain, "newest" | "commit" | "link" | "linksAfter" | "manifest">;
  readonly publish: (input: PublishInput) => Promise<{ readonly hash: Sha256 }>;
  /** Keeps a signed transcript under a name such as `0003-training-1`; may be asked twice. */
  readonly keepTranscript: (name: string, text: string) => Promise<void>;
  /** Who belongs to the federation now. */
  readonly enrolled: () => readonly EnrolledClient[];
  /** The authority's newest list. */
  readonly revocations: () => RevocationList | null;
  /** Hands the event loop on during long computations. */
  readonly pause: () => Promise<void>;
  readonly observer: Observer;
  readonly options: CoordinatorOptions;
}
