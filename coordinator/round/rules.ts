/** What the reducer is told once: the configuration, as far as rounds depend on it, and where to look up the rest. */
import type { RevocationList } from "../../shared/secagg/certificate.ts";
import type { SessionContext } from "../../shared/secagg/session.ts";
import type { GraphRule } from "../../shared/secagg/sharing-graph.ts";
import type { PrivacyRules } from "./privacy-budget.ts";
import type { Schedule } from "../schedule/schedule.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { CommittedNoise } from "../../shared/privacy/committed-noise.ts";

export interface Rules {
  /** The federation's id. */
  readonly federation: string;
  readonly configHash: Sha256;
  readonly seed: number;
  readonly mode: "malicious" | "semi-honest" | "off";
  readonly cohort: {
    readonly fraction: number;
    readonly min: number;
    readonly max: number;
    readonly overSelect: number;
  };
  readonly minSurvivors: number;
  /** Vectors of training that suffice; left out: everybody who can is waited for. */
  readonly buffer?: number;
  /** Who shares secrets with how many. */
  readonly graph: GraphRule;
  readonly deadlines: {
    readonly recruitMs: number;
    readonly shareKeysMs: number;
    readonly trainMs: number | "progress";
    readonly unmaskMs: number;
  };
  /** How long a revealed round waits for its survivors. */
  readonly patienceMs: number;
  /** `every` 0: never. */
  readonly evaluation: { readonly every: number; readonly patienceMs: number };
  readonly stop: {
    readonly rounds: number;
    readonly untilMetric: {
      readonly head: string;
      readonly metric: string;
      readonly atLeast?: number | undefined;
      readonly atMost?: number | undefined;
    } | null;
    readonly untilMs: number | null;
    /** Rounds that may fail in a row; simulations end here, deployments go on for ever. */
    readonly failures: number;
  };
  readonly schedule: Schedule;
  /** Null without differential privacy. */
  readonly privacy: PrivacyRules | null;
  /**
   * heartbeat: a client is gone when it has been silent. connection: when its connection is; for clients in the
   * coordinator's own process, whose heartbeats stop together with the clock that would miss them.
   */
  readonly liveness: "heartbeat" | "connection";
  /** Attempts of one round before it fails. */
  readonly attempts: number;
  readonly heartbeatMs: number;
  /** Training rounds whose masked inputs are kept. */
  readonly keepInputs: number;
  /** First pause after a failure; each further one is twice as long. */
  readonly backoffMs: number;
  readonly sidOf: (context: SessionContext) => Sha256;
  /** Draws the seed of an attempt's noise, which is then part of its terms; left out where the coordinator adds none. */
  readonly noise?: () => CommittedNoise;
  /** The authority's newest list; looked up when an attempt is decided on, then part of its terms. */
  readonly revoked: () => RevocationList | null;
}

/** Sorted by code unit, as the protocol sorts names. */
export function sortedNames(names: Iterable<string>): ClientName[] {
  return [...names].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)) as ClientName[];
}
