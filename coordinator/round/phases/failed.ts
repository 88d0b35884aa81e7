/** A round that ends without a new version. The next one starts from the same parent, after ever longer pauses. */
import type { Rules } from "../rules.ts";
import type { FederationState, Reason, RoundFacts, Transition } from "../state.ts";

/** Ends the round without a new version; the next one waits longer after every failure in a row. */
export function endRound(
  rules: Rules,
  state: FederationState,
  facts: RoundFacts,
  outcome: "failed" | "void",
  reason: Reason,
  at: number,
): Transition {
  const failures = state.failures + 1;
  const notBefore = at + Math.min(rules.backoffMs * 2 ** failures, 5 * 60_000);
  return {
    state: { ...state, failures, current: { phase: outcome, since: at, notBefore, reason } },
    effects: [{ type: "keep-round", facts, status: "failed", endedAt: at, reason }, { type: "snapshot" }],
  };
}
