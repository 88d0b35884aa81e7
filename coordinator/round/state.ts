/**
 * The round as data: what a coordinator knows, what can happen, and what is to be done about it. Everything is plain
 * JSON; vectors are named by hash. `FederationState` without `presence` is the durable part: it is a function of the
 * durable events alone, which the driver appends to the log before anything they cause becomes visible. Presence is
 * what has been heard of the clients since this process started; decisions drawn from it are durable events of their own.
 */
import type { ClientName, Purpose, Sha256 } from "../../shared/ids.ts";
import type { CommittedNoise, NoiseSeed } from "../../shared/privacy/committed-noise.ts";
import type { SessionContext } from "../../shared/secagg/session.ts";
import type { GraphRule } from "../../shared/secagg/sharing-graph.ts";
import type { SignedStep, Statement } from "../../shared/secagg/signed.ts";
import type { RevocationList } from "../../shared/secagg/certificate.ts";
import type { Spent } from "./privacy-budget.ts";
import type { History, Transcript } from "../../shared/secagg/transcript.ts";

export interface Reason {
  readonly code: string;
  readonly message: string;
}

export type ByClient<T> = Readonly<Record<ClientName, T>>;

// ---------------------------------------------------------------------------------------------- presence

export interface Member {
  readonly connected: boolean;
  /** When anything was last heard of it, in listening time (`presence.ts`). */
  readonly lastSeen: number;
  /** Until then it may still come back after a restart of the coordinator; in listening time, too. */
  readonly expectedUntil: number;
  /** When it last said that it takes part in this plan; null: it has not. */
  readonly readyAt: number | null;
  /** The version it has; -1: none. */
  readonly version: number;
  /** The session it says it is in; undefined: not heard yet. */
  readonly sid: string | null | undefined;
  readonly progress: { readonly step: number; readonly steps: number; readonly changedAt: number } | null;
}

export interface Presence {
  /** When this process took over. */
  readonly since: number;
  /** How long it has been too busy to listen since then. */
  readonly deafMs: number;
  /** A map, because it is copied with every sign of life: ten times as fast as a record of a thousand. */
  readonly members: ReadonlyMap<ClientName, Member>;
}

// ---------------------------------------------------------------------------------------------- one secure sum

/** A client left out of an attempt, and why: it declined, or what it sent was wrong. */
export interface Exclusion extends Reason {
  readonly at: number;
  /** true: for the whole round, until it says that it is ready again; "round": even then; false: for this attempt. */
  readonly lasting: boolean | "round";
  /** It left because of others, whom it accuses of what this code says. */
  readonly accusation?: { readonly code: string; readonly about: readonly ClientName[]; readonly signed: Statement };
}

export interface SumHead {
  readonly session: SessionContext;
  readonly sid: Sha256;
  /** The version to train from or to score. */
  readonly version: number;
  readonly mode: "malicious" | "semi-honest" | "off";
  /** Who shares with how many; absent in logs of before, when everybody did with everybody. */
  readonly graph?: GraphRule;
  readonly startedAt: number;
  /** When the present phase began. */
  readonly since: number;
  /** Sorted by name, as every list of clients is. */
  readonly invited: readonly ClientName[];
  /** Smallest roster and smallest set of survivors. */
  readonly minRoster: number;
  readonly minSurvivors: number;
  /** The authority's list when the attempt began: what its clients are shown. */
  readonly revoked: RevocationList | null;
  /** What came before, for clients to compare with what they were told. */
  readonly history: History;
  /** Vectors that suffice, where nobody waits for more (fedbuff). */
  readonly enough?: number;
  /** What its vectors cost, as JSON of a mechanism; left out where they have no noise. */
  readonly privacy?: string;
  /** Of the noise that this coordinator, trusted with it, adds; its commitment is in the session. Never sent to anybody. */
  readonly noiseSeed?: NoiseSeed;
  readonly excluded: ByClient<Exclusion>;
  readonly seconds: { readonly train: number; readonly secureAggregation: number };
}

export interface MaskedInput {
  readonly signed: SignedStep;
  readonly vector: Sha256;
  readonly bytes: number;
}

export interface AdvertisingKeys extends SumHead {
  readonly phase: "advertising-keys";
  readonly advertised: ByClient<SignedStep>;
}
export interface SharingKeys extends SumHead {
  readonly phase: "sharing-keys";
  /** The roster: whoever advertised in time. Thresholds follow from its size. */
  readonly advertised: ByClient<SignedStep>;
  readonly shared: ByClient<SignedStep>;
}
export interface CollectingMaskedInputs extends SumHead {
  readonly phase: "collecting-masked-inputs";
  readonly advertised: ByClient<SignedStep>;
  readonly shared: ByClient<SignedStep>;
  readonly inputs: ByClient<MaskedInput>;
}
export interface CheckingConsistency extends SumHead {
  readonly phase: "checking-consistency";
  readonly advertised: ByClient<SignedStep>;
  readonly shared: ByClient<SignedStep>;
  /** The survivors. */
  readonly inputs: ByClient<MaskedInput>;
  readonly signatures: ByClient<SignedStep>;
}
export interface Unmasking extends SumHead {
  readonly phase: "unmasking";
  readonly advertised: ByClient<SignedStep>;
  readonly shared: ByClient<SignedStep>;
  readonly inputs: ByClient<MaskedInput>;
  /** Fixed when unmasking began: everybody is shown the same. */
  readonly signatures: ByClient<SignedStep>;
  readonly reveals: ByClient<SignedStep>;
}
/** Everything needed for the sum is here. */
export interface SumComplete extends SumHead {
  readonly phase: "complete";
  readonly advertised: ByClient<SignedStep>;
  readonly shared: ByClient<SignedStep>;
  readonly inputs: ByClient<MaskedInput>;
  readonly signatures: ByClient<SignedStep>;
  readonly reveals: ByClient<SignedStep>;
}

/** A secure sum on its way, for training or for evaluation. */
export type Sum = AdvertisingKeys | SharingKeys | CollectingMaskedInputs | CheckingConsistency | Unmasking;

// ---------------------------------------------------------------------------------------------- the round

/** What the round's entry in report.json is made of, gathered on the way. */
export interface RoundFacts {
  readonly round: number;
  readonly startedAt: number;
  readonly attempts: number;
  readonly cohort: readonly ClientName[];
  readonly survivors: readonly ClientName[];
  readonly excluded: ByClient<Exclusion>;
  readonly totals: TrainingTotals | null;
  /** null: not evaluated. */
  readonly evaluation: EvaluationSummary | null;
  readonly seconds: {
    readonly train: number;
    readonly secureAggregation: number;
    readonly aggregate: number;
    readonly evaluate: number;
    readonly release: number;
  };
}

/** What the sum of a round says beside the params. */
interface TrainingTotals {
  readonly weight: number;
  readonly examples: number;
  readonly examplesSeen: number;
  /** Mean training loss per step; null where it would have to be noisy. */
  readonly loss: number | null;
  /** L2 norm of the mean delta. */
  readonly deltaNorm: number;
  readonly clippedShare: number;
  /** To which updates were clipped, where the norm adapts. */
  readonly clipNorm?: number;
}

/** What an evaluation says, for the report and for the release: scores of R and of `model/`, each null when unknown. */
export interface EvaluationSummary {
  /** Clients in the sum. */
  readonly clients: number;
  readonly metrics: Record<string, Record<string, number>>;
  readonly modelMetrics: Record<string, Record<string, number>> | null;
}

export interface Idle {
  /** idle: a round may begin when the schedule says so. failed, void: how the last one ended. finished: stop rule or operator. */
  readonly phase: "idle" | "failed" | "void" | "finished";
  readonly since: number;
  readonly notBefore: number;
  readonly reason: Reason | null;
}
export interface Recruiting {
  readonly phase: "recruiting";
  readonly facts: RoundFacts;
  readonly since: number;
  readonly attempt: number;
  readonly notBefore: number;
}
export interface Training {
  readonly phase: "training";
  readonly facts: RoundFacts;
  readonly sum: Sum;
}
export interface Updating {
  readonly phase: "updating";
  readonly facts: RoundFacts;
  readonly since: number;
  readonly sum: SumComplete;
}
export interface Evaluating {
  readonly phase: "evaluating";
  readonly facts: RoundFacts;
  readonly since: number;
  readonly attempt: number;
  readonly gatheringSince: number;
  readonly notBefore: number;
  readonly participants: readonly ClientName[];
  /** Left out of earlier attempts. */
  readonly excluded: ByClient<Exclusion>;
  /** null: waiting for enough participants. */
  readonly sum: Sum | SumComplete | null;
}
export interface Releasing {
  readonly phase: "releasing";
  readonly facts: RoundFacts;
  readonly since: number;
}
type RoundState = Idle | Recruiting | Training | Updating | Evaluating | Releasing;

/** A session that is over: late messages of it are answered with how it ended. */
export interface EndedSession {
  readonly sid: Sha256;
  readonly outcome: "completed" | "failed" | "void";
  readonly reason: Reason | null;
  readonly transcriptDigest: Sha256 | null;
}

export interface FederationState {
  readonly schema: 1;
  readonly paused: boolean;
  /** The operator wants the federation to end. */
  readonly stopping: string | null;
  /** A round was asked for by hand (`every: manual`). */
  readonly triggered: boolean;
  /** The highest round begun; -1 before round 0, which only evaluates the model as it was made. */
  readonly round: number;
  /** Rounds with a new version that are over; their records follow at once. */
  readonly completed: number;
  /** Rounds that failed one after the other. */
  readonly failures: number;
  /** The newest version R and its hash; rounds train from it. */
  readonly version: number;
  readonly paramsHash: Sha256;
  /** The newest release; null before the first. */
  readonly released: { readonly version: number; readonly manifestHash: Sha256 } | null;
  /** Blobs with params and optimizer state S, newest first; the one before the newest is kept for audits. */
  readonly serverStates: readonly Sha256[];
  /** What the last step left for the next round to clip to, as the newest of them says, too; left out where it is fixed. */
  readonly clipNorm?: number;
  /** The blob with the sum of the last step, kept for audits where `options.keepSum` says so; null before the first. */
  readonly lastSum: Sha256 | null;
  readonly transcriptDigest: Sha256;
  /** The sessions that led to it, the newest ones. */
  readonly history: History;
  /** Invited last: whom to expect after a restart. */
  readonly regulars: readonly ClientName[];
  readonly lastStartedAt: number | null;
  /** What noisy vectors have cost, by mechanism (privacy-budget.ts); left out before the first. */
  readonly spent?: Spent;
  readonly lastMetrics: Record<string, Record<string, number>> | null;
  readonly ended: readonly EndedSession[];
  readonly current: RoundState;
  /** Not durable. */
  readonly presence: Presence;
}

// ---------------------------------------------------------------------------------------------- events

/** What an attempt is begun under; in the log, so that a configuration that was edited since does not change the past. */
export interface Terms {
  readonly configHash: Sha256;
  readonly mode: "malicious" | "semi-honest" | "off";
  readonly minRoster: number;
  readonly minSurvivors: number;
  readonly graph?: GraphRule;
  readonly revoked: RevocationList | null;
  readonly enough?: number;
  readonly privacy?: string;
  readonly clipNorm?: number;
  readonly noise?: CommittedNoise;
}

interface At {
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Written to the log before it counts. */
export type DurableEvent =
  // What clients do.
  | (At & { type: "step"; client: ClientName; signed: SignedStep; vector: { hash: Sha256; bytes: number } | null })
  | (At & {
      type: "exclude";
      client: ClientName;
      sid: Sha256;
      reason: Reason;
      lasting: boolean;
      accusation?: NonNullable<Exclusion["accusation"]>;
    })
  // What is decided from presence and time (`decide.ts`).
  | (At & { type: "recruit"; round: number })
  | (At & { type: "invite"; purpose: Purpose; clients: readonly ClientName[]; terms: Terms })
  | (At & { type: "close"; sid: Sha256; phase: Sum["phase"] })
  | (At & { type: "give-up"; purpose: Purpose; outcome: "failed" | "void"; reason: Reason })
  | (At & { type: "finish"; reason: Reason })
  // What effects came to.
  | (At & {
      type: "committed";
      sid: Sha256;
      version: number;
      paramsHash: Sha256;
      /** SHA-256 of the chain link's canonical JSON. */
      link: Sha256;
      serverState: Sha256;
      /** Of the next round, where it adapts. */
      clipNorm?: number;
      /** SHA-256 of the sum's words. */
      sum: Sha256;
      totals: TrainingTotals;
      /** Survivors whose vector was unreadable; only where single vectors are visible. */
      rejected: ByClient<Exclusion>;
    })
  | (At & { type: "evaluated"; sid: Sha256; sum: Sha256; summary: EvaluationSummary })
  | (At & { type: "sum-failed"; sid: Sha256; reason: Reason })
  | (At & { type: "released"; version: number; manifestHash: Sha256 | null; reason: Reason | null })
  // What the operator asks for.
  | (At & { type: "pause" | "resume" | "trigger" })
  | (At & { type: "stop"; reason: string });

/** Heard and forgotten: never in the log. */
export type PassingEvent =
  /** Time passed; `lateMs` of it this process was too busy to listen. */
  | (At & { type: "tick"; lateMs?: number })
  /** This process took over; `enrolled` may come back soon. */
  | (At & { type: "started"; enrolled: readonly ClientName[] })
  | (At & { type: "connected" | "disconnected"; client: ClientName })
  | (At & { type: "ready"; client: ClientName; version: number })
  /** Takes no part until it is ready again. */
  | (At & { type: "resting"; client: ClientName })
  | (At & {
      type: "heartbeat";
      client: ClientName;
      sid: string | null;
      progress: { readonly step: number; readonly steps: number } | null;
    })
  | (At & { type: "installed"; client: ClientName; version: number });

export type RoundEvent = DurableEvent | PassingEvent;

export function isDurable(event: RoundEvent): event is DurableEvent {
  switch (event.type) {
    case "tick":
    case "started":
    case "connected":
    case "disconnected":
    case "ready":
    case "resting":
    case "heartbeat":
    case "installed":
      return false;
    default:
      return true;
  }
}

// ---------------------------------------------------------------------------------------------- effects

/** A message to one client; the driver builds it from the state it comes with. */
export type Outgoing =
  | { readonly type: "begin" | "roster" | "shares" | "survivors" | "signatures"; readonly sum: Sum }
  | { readonly type: "ended"; readonly ended: EndedSession }
  | { readonly type: "committed"; readonly version: number }
  | { readonly type: "released"; readonly version: number; readonly manifestHash: Sha256 }
  | { readonly type: "stopped"; readonly reason: string };

type Commit = NonNullable<NonNullable<Transcript["result"]>["commit"]>;

export type Effect =
  | { readonly type: "send"; readonly client: ClientName; readonly message: Outgoing }
  /** Work in the background that ends with an event; asked for again after a restart. */
  | { readonly type: "update"; readonly sum: SumComplete }
  | { readonly type: "total"; readonly sum: SumComplete; readonly facts: RoundFacts }
  | { readonly type: "release"; readonly facts: RoundFacts; readonly version: number }
  /** Records that may be written twice. */
  /** What the transcript's sum can be made again from; written before the vectors go. */
  | { readonly type: "keep-evidence"; readonly sum: SumComplete; readonly commit: Commit | null }
  | { readonly type: "keep-transcript"; readonly transcript: Transcript; readonly digest: Sha256 }
  | {
      readonly type: "keep-round";
      readonly facts: RoundFacts;
      readonly status: "completed" | "failed";
      readonly endedAt: number;
      readonly reason: Reason | null;
    }
  | { readonly type: "discard"; readonly blobs: readonly Sha256[] }
  /** The round is over: the log up to here can be replaced by the state. */
  | { readonly type: "snapshot" }
  | { readonly type: "finished"; readonly reason: Reason };

export interface Transition {
  readonly state: FederationState;
  readonly effects: readonly Effect[];
}
