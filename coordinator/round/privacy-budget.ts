/**
 * What the rounds have spent, as the coordinator counts it: every training attempt for which a vector reached it, whatever
 * became of the attempt. Part of the durable state, by mechanism, so that a plan that was changed forgets nothing.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { adaptiveClip, clipOfRound } from "../../shared/privacy/adaptive-clip.ts";
import { epsilonOf, type Mechanism, type Use } from "../../shared/privacy/mechanism.ts";
import { budgetOf, roundMechanism } from "../../shared/privacy/plan.ts";
import type { Reason, Sum, SumComplete } from "./state.ts";

/** Uses by the mechanism's JSON. */
export type Spent = Readonly<Record<string, number>>;

export interface PrivacyRules {
  readonly unit: "example" | "client";
  /** JSON of what one round costs. */
  readonly mechanism: string;
  readonly delta: number;
  readonly budget: number;
  /** To which a round clips, after one that left `held`; undefined where that is fixed. */
  clipNorm(held: number | undefined): number | undefined;
  /** Epsilon of what was spent, and `more` rounds of this plan. */
  epsilon(spent: Spent, more: number): number;
}

/** Null without differential privacy. */
export function privacyRules(config: FederationConfig): PrivacyRules | null {
  const { privacy } = config;
  const mechanism = roundMechanism(config);
  const budget = budgetOf(privacy);
  if (privacy.unit === "none" || mechanism === null || budget === null) return null;
  const text = JSON.stringify(mechanism);
  // Asked after every event, computed once.
  const known = new Map<string, number>();
  const epsilon = (spent: Spent, more: number): number => {
    const after = { ...spent, [text]: (spent[text] ?? 0) + more };
    const key = JSON.stringify(after);
    const found = known.get(key) ?? epsilonOf(usesOf(after), privacy.delta);
    known.set(key, found);
    return found;
  };
  const adaptive = adaptiveClip(privacy);
  const clipNorm = (held: number | undefined) => (adaptive === null ? undefined : clipOfRound(adaptive, held));
  return { unit: privacy.unit, mechanism: text, delta: privacy.delta, budget, clipNorm, epsilon };
}

/** With what a session that has ended cost: whatever came of it, a vector that came had left its site. */
export function spentBy(spent: Spent | undefined, sum: Sum | SumComplete): { readonly spent?: Spent } {
  const { privacy } = sum;
  const came = "inputs" in sum && Object.keys(sum.inputs).length > 0;
  if (privacy === undefined || !came) return spent === undefined ? {} : { spent };
  return { spent: { ...spent, [privacy]: (spent?.[privacy] ?? 0) + 1 } };
}

/** Why no further round may begin; null while one may. */
export function budgetReason(rules: PrivacyRules | null, spent: Spent | undefined): Reason | null {
  if (rules === null) return null;
  const epsilon = rules.epsilon(spent ?? {}, 1);
  if (epsilon <= rules.budget) return null;
  const message = `one more round would have spent epsilon ${epsilon.toFixed(3)} at delta ${rules.delta}; privacy.budget is ${rules.budget}`;
  return { code: "PRIVACY_BUDGET", message };
}

/** What an operator wants to know of it. */
export interface PrivacyStatus {
  /** Whom it protects: one picture, or a whole site. */
  readonly unit: PrivacyRules["unit"];
  /** Spent so far, at `delta`. */
  readonly epsilon: number;
  readonly delta: number;
  readonly budget: number;
  /** Of the budget. */
  readonly left: number;
  /** Training attempts that cost something. */
  readonly spentRounds: number;
  /** How many of the rounds to come the budget is enough for. */
  readonly roundsLeft: number;
}

/** Null without differential privacy. `toCome`: rounds that the schedule still has. */
export function privacyStatus(rules: PrivacyRules | null, spent: Spent = {}, toCome: number = 0): PrivacyStatus | null {
  if (rules === null) return null;
  const { unit, delta, budget } = rules;
  const epsilon = rules.epsilon(spent, 0);
  let [roundsLeft, most] = [0, toCome];
  while (roundsLeft < most) {
    const middle = Math.ceil((roundsLeft + most) / 2);
    if (rules.epsilon(spent, middle) <= budget) roundsLeft = middle;
    else most = middle - 1;
  }
  const spentRounds = Object.values(spent).reduce((sum, times) => sum + times, 0);
  return { unit, epsilon, delta, budget, left: Math.max(0, budget - epsilon), spentRounds, roundsLeft };
}

function usesOf(spent: Spent): Use[] {
  return Object.entries(spent).map(([text, times]) => ({ mechanism: JSON.parse(text) as Mechanism, times }));
}
