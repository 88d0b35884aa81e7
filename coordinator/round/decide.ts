/**
 * What follows from presence and time: the next durable event, or null when there is nothing to do but wait. Pure, and
 * asked again after every event until it has nothing more; its decisions go to the log, so replay never asks.
 */
import { mayBegin } from "../schedule/schedule.ts";
import { budgetReason } from "./privacy-budget.ts";
import { dueInGathering } from "./phases/evaluating.ts";
import { dueInRecruiting } from "./phases/recruiting.ts";
import { dueIn, forgetful } from "./phases/sum.ts";
import type { Rules } from "./rules.ts";
import type { DurableEvent, FederationState, Idle, Reason, Sum } from "./state.ts";

export function decide(rules: Rules, state: FederationState, now: number): DurableEvent | null {
  const { current } = state;
  switch (current.phase) {
    case "idle":
    case "failed":
    case "void":
      return betweenRounds(rules, state, current, now);
    case "recruiting":
      if (state.stopping !== null) return { type: "finish", at: now, reason: stopped(state.stopping) };
      if (current.attempt === 1) {
        // Nobody has been invited yet, which may take days: the round has not really begun.
        const over = stopRule(rules, state, now);
        if (over !== null) return { type: "finish", at: now, reason: over };
        if (rules.schedule.kind === "window" && !mayBegin(rules.schedule, now, null, state.triggered)) return null;
      }
      if (current.facts.round > 0) {
        const spent = budgetReason(rules.privacy, state.spent);
        if (spent !== null) return { type: "give-up", at: now, purpose: "training", outcome: "failed", reason: spent };
      }
      return dueInRecruiting(rules, state, current, now);
    case "training":
      if (state.stopping !== null && current.sum.phase !== "unmasking") {
        return { type: "give-up", at: now, purpose: "training", outcome: "failed", reason: stopped(state.stopping) };
      }
      return dueInSum(rules, state, current.sum, now);
    case "evaluating":
      if (current.sum === null) return dueInGathering(rules, state, current, now);
      return current.sum.phase === "complete" ? null : dueInSum(rules, state, current.sum, now);
    case "updating":
    case "releasing":
    case "finished":
      return null;
  }
}

function dueInSum(rules: Rules, state: FederationState, sum: Sum, now: number): DurableEvent | null {
  const { purpose } = sum.session;
  if (sum.session.configHash !== rules.configHash) {
    const reason: Reason = { code: "SESSION_PLAN", message: "federation.yaml was changed during the attempt" };
    return { type: "give-up", at: now, purpose, outcome: "failed", reason };
  }
  const lost = forgetful(sum, state.presence);
  if (lost !== null) {
    const reason: Reason = { code: "ROUND_FORGOTTEN", message: `${lost} was restarted and lost the attempt's secrets` };
    return { type: "exclude", at: now, client: lost, sid: sum.sid, reason, lasting: false };
  }
  const due = dueIn(rules, sum, state.presence, now);
  if (due === "close") return { type: "close", at: now, sid: sum.sid, phase: sum.phase };
  if (due === null) return null;
  const message = `the survivors did not come back to reveal their shares`;
  return { type: "give-up", at: now, purpose, outcome: "void", reason: { code: "ROUND_VOID", message } };
}

function betweenRounds(rules: Rules, state: FederationState, current: Idle, now: number): DurableEvent | null {
  const over = stopRule(rules, state, now);
  if (over !== null) return { type: "finish", at: now, reason: over };
  if (state.paused || now < current.notBefore) return null;
  if (!mayBegin(rules.schedule, now, state.lastStartedAt, state.triggered)) return null;
  return { type: "recruit", at: now, round: state.round + 1 };
}

/** Why the federation is over; null while it is not. */
export function stopRule(rules: Rules, state: FederationState, now: number): Reason | null {
  if (state.stopping !== null) return stopped(state.stopping);
  const { rounds, untilMetric, untilMs, failures } = rules.stop;
  if (state.completed >= rounds) return { code: "DONE", message: `${rounds} rounds are completed` };
  const spent = budgetReason(rules.privacy, state.spent);
  if (spent !== null) return spent;
  if (untilMs !== null && now >= untilMs) return { code: "DONE", message: "the date of schedule.untilDate has come" };
  if (untilMetric !== null) {
    const value = state.lastMetrics?.[untilMetric.head]?.[untilMetric.metric];
    const { atLeast, atMost } = untilMetric;
    const reached =
      value !== undefined && (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost);
    if (reached) return { code: "DONE", message: `${untilMetric.head}.${untilMetric.metric} is ${value}` };
  }
  if (state.failures >= failures) {
    const why =
      state.current.phase === "failed" || state.current.phase === "void" ? state.current.reason?.message : undefined;
    return {
      code: "ROUND_FAILED",
      message: `${state.failures} rounds failed one after the other: ${why ?? "unknown"}`,
    };
  }
  return null;
}

function stopped(reason: string): Reason {
  return { code: "STOPPED", message: reason };
}
