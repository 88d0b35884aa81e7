/** How a session ends, and what its clients hear about it. */
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import {
  HISTORY_KEPT,
  linkOf,
  nextDigest,
  type History,
  type HistoryLink,
  type Transcript,
} from "../../../shared/secagg/transcript.ts";
import type { Rules } from "../rules.ts";
import { transcriptOf } from "../transcript.ts";
import type {
  ByClient,
  Effect,
  EndedSession,
  Exclusion,
  FederationState,
  Outgoing,
  Reason,
  RoundFacts,
  Sum,
  SumComplete,
} from "../state.ts";
import { spentBy } from "../privacy-budget.ts";
import type { Transition } from "../state.ts";
import { blamed } from "./accusations.ts";
import { names } from "./phase.ts";
import { excludeClient, owing } from "./sum.ts";

/** Sessions whose end is remembered for clients that come back late. */
const ENDED_KEPT = 16;

/** Effects that send these messages, in order. */
export function send(messages: readonly { client: ClientName; message: Outgoing }[]): Effect[] {
  return messages.map((message) => ({ type: "send", ...message }));
}

/** Where the configuration asks for it, what the sum is made of is kept; before {@link endSession} lets go of the vectors. */
export function keepEvidence(
  rules: Rules,
  sum: SumComplete,
  commit: Extract<Effect, { type: "keep-evidence" }>["commit"],
): Effect[] {
  if (rules.keepInputs === 0) return [];
  return [{ type: "keep-evidence", sum, commit }];
}

/** Leaves a transcript, remembers how the session ended, tells everybody who was invited, lets go of the vectors. */
export function endSession(
  state: FederationState,
  sum: Sum | SumComplete,
  outcome: EndedSession["outcome"],
  reason: Reason | null,
  result: Transcript["result"] = null,
): Transition {
  const transcript = transcriptOf(sum, outcome, reason, result);
  const link = linkOf(transcript);
  const digest = nextDigest(state.transcriptDigest, link);
  const ended: EndedSession = { sid: sum.sid, outcome, reason, transcriptDigest: digest };
  const effects: Effect[] = [
    { type: "keep-transcript", transcript, digest },
    ...send(sum.invited.map((client) => ({ client, message: { type: "ended", ended } }))),
  ];
  const blobs = vectorsOf(sum);
  if (blobs.length > 0) effects.push({ type: "discard", blobs });
  const known = [ended, ...state.ended].slice(0, ENDED_KEPT);
  const history = withLink(state.history, link);
  const spent = spentBy(state.spent, sum);
  return { state: { ...state, ...spent, transcriptDigest: digest, history, ended: known }, effects };
}

function withLink({ before, links }: History, link: HistoryLink): History {
  const [oldest, ...others] = links;
  if (oldest === undefined || links.length < HISTORY_KEPT) return { before, links: [...links, link] };
  return { before: nextDigest(before, oldest), links: [...others, link] };
}

function vectorsOf(sum: Sum | SumComplete): Sha256[] {
  return "inputs" in sum ? names(sum.inputs).flatMap((name) => sum.inputs[name]?.vector ?? []) : [];
}

/** Those whose answer did not come in time hear that the attempt goes on without them. */
export function tellLeftOut(before: Sum): Effect[] {
  // Survivors who did not sign, or did not reveal, are still part of the sum.
  if (before.phase === "checking-consistency" || before.phase === "unmasking") return [];
  const reason = { code: "ROUND_LATE", message: `the attempt went on after ${before.phase} without this client` };
  return send(owing(before).map((client) => ({ client, message: leftOut(before.sid, reason) })));
}

/** The sum without the client, who hears why; unchanged when it is not part of it or was left out before. */
export function leaveOut(
  sum: Sum,
  client: ClientName,
  exclusion: Exclusion,
): { readonly sum: Sum; readonly effects: readonly Effect[] } {
  const next = excludeClient(sum, client, exclusion);
  const reason = { code: exclusion.code, message: exclusion.message };
  const effects = next === sum ? [] : send([{ client, message: leftOut(sum.sid, reason) }]);
  return { sum: next, effects };
}

function leftOut(sid: Sha256, reason: Reason): Outgoing {
  return { type: "ended", ended: { sid, outcome: "failed", reason, transcriptDigest: null } };
}

/** The round's seconds with those of one more attempt. */
export function addSeconds(facts: RoundFacts, sum: Sum | SumComplete): RoundFacts["seconds"] {
  const { train, secureAggregation } = facts.seconds;
  return {
    ...facts.seconds,
    train: train + sum.seconds.train,
    secureAggregation: secureAggregation + sum.seconds.secureAggregation,
  };
}

/** Those who are left out of the round's further attempts, too, now that this one has failed. */
export function lastingOf(sum: Sum | SumComplete, at: number): ByClient<Exclusion> {
  const lasting = Object.entries(sum.excluded as Record<string, Exclusion>).filter(
    ([, exclusion]) => exclusion.lasting,
  );
  return { ...Object.fromEntries(lasting), ...blamed(sum, at) };
}
