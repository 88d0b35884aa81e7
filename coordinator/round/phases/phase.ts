/**
 * What the phases of a secure sum have in common: clients are asked for one step each; the phase closes when nobody
 * more can answer, when its time is up, or when there is enough; with too few answers the attempt fails.
 */
import type { ClientName } from "../../../shared/ids.ts";
import { graphRule, sharingGraph, type SharingGraph } from "../../../shared/secagg/sharing-graph.ts";
import { neededSurvivors } from "../../../shared/secagg/thresholds.ts";
import type { Step } from "../../../shared/secagg/signed.ts";
import { sortedNames, type Rules } from "../rules.ts";
import type { ByClient, DurableEvent, Sum, SumComplete, SumHead } from "../state.ts";

export type StepEvent = Extract<DurableEvent, { type: "step" }>;

type Ask = "begin" | "roster" | "shares" | "survivors" | "signatures";

export interface Phase<S extends Sum> {
  /** What clients answer with. */
  readonly step: Step;
  /** What a client is asked with, in this order. */
  ask(sum: S, client: ClientName): readonly Ask[];
  /** Who may answer, sorted by name; those excluded are no longer asked, but what they gave stands. */
  asked(sum: S): readonly ClientName[];
  answers(sum: S): ByClient<unknown>;
  /** The phase with one answer more. */
  record(sum: S, event: StepEvent): S;
  /** With fewer answers the attempt cannot go on. */
  needed(sum: S): number;
  /** Can it with those of these clients, as many as are needed? Left out: whoever they are. */
  suffices?(sum: S, clients: readonly ClientName[]): boolean;
  /** With so many there is no need to wait for more; null: wait for everybody who can answer. */
  enough(sum: S): number | null;
  /** The phase's time; null: presence alone decides. */
  limitMs(rules: Rules): number | null;
  /** Only called with enough answers. */
  next(sum: S, at: number): Sum | SumComplete;
}

const sorted = new WeakMap<ByClient<unknown>, readonly ClientName[]>();

/** Names in a record, sorted. Records never change, and are asked often: each is sorted once. */
export function names(record: ByClient<unknown>): readonly ClientName[] {
  const known = sorted.get(record);
  if (known !== undefined) return known;
  const list = sortedNames(Object.keys(record));
  sorted.set(record, list);
  return list;
}

/** Survivors without whom the attempt cannot end, from the size of the advertised roster. */
export function survivorsNeeded(head: SumHead, rosterSize: number): number {
  if (head.mode === "off") return head.minSurvivors;
  return neededSurvivors(rosterSize, head.mode, head.minSurvivors);
}

/** Who shares with how many in a roster of this size; null where nothing is shared. */
export function graphOf(head: SumHead, rosterSize: number): SharingGraph | null {
  if (head.mode === "off") return null;
  return sharingGraph(rosterSize, head.mode, head.graph ?? graphRule({ dropoutRate: 0, corruptionRate: 0 }));
}

/** Holders whose shares give back a secret. */
export function sharesNeeded(head: SumHead, rosterSize: number): number {
  return graphOf(head, rosterSize)?.limits.selfMask ?? 0;
}

/** The head as the next phase takes it over, with the time of this one accounted for. */
export function handOver(sum: Sum, at: number): SumHead {
  const kind = sum.phase === "collecting-masked-inputs" ? "train" : "secureAggregation";
  const {
    session,
    sid,
    version,
    mode,
    graph,
    startedAt,
    invited,
    minRoster,
    minSurvivors,
    revoked,
    history,
    enough,
    privacy,
    noiseSeed,
    excluded,
  } = sum;
  const seconds = { ...sum.seconds, [kind]: sum.seconds[kind] + Math.max(0, at - sum.since) / 1000 };
  const limits = {
    minRoster,
    minSurvivors,
    ...(enough !== undefined && { enough }),
    ...(privacy !== undefined && { privacy }),
    ...(noiseSeed !== undefined && { noiseSeed }),
  };
  const terms = { ...(graph !== undefined && { graph }), invited, ...limits, revoked, history };
  return { session, sid, version, mode, startedAt, since: at, ...terms, excluded, seconds };
}
