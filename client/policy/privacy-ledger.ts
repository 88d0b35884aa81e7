/**
 * What this site has spent: every noisy result that left it, in an append-only file (state/privacy.jsonl) that outlives
 * plans, restarts and void rounds. The client refuses to go beyond its own limit, whatever the coordinator says.
 */
import { z } from "zod";
import type { SitePolicy } from "../../shared/config/site.ts";
import { CodedError } from "../../shared/errors.ts";
import { openJsonLines, readJsonLines, type JsonLines } from "../../shared/node/json-lines.ts";
import { epsilonOf, type Mechanism, type Use } from "../../shared/privacy/mechanism.ts";
import {
  budgetOf,
  exampleMechanism,
  noiseNeeded,
  roundMechanism,
  type PrivacyTerms,
} from "../../shared/privacy/plan.ts";

const mechanism = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("sampled-gaussian"),
    rate: z.number().gt(0).max(1),
    noiseMultiplier: z.number().positive(),
    steps: z.int().min(1),
  }),
  z.strictObject({
    kind: z.literal("discrete-gaussian-sum"),
    clients: z.int().min(1),
    stddev: z.number().positive(),
    sensitivity: z.number().positive(),
    dimension: z.number().positive(),
  }),
]);

const WHAT = "entry of the privacy ledger";

const spending = z.strictObject({
  /** Milliseconds since 1970. */
  at: z.number(),
  round: z.int().min(0),
  mechanism,
});
export type Spending = z.infer<typeof spending>;
export type PrivacyLedger = JsonLines<Spending>;

/** For simulations and tests: as durable as the process. */
export function memoryLedger(entries: readonly Spending[] = []): PrivacyLedger {
  const held = [...entries];
  return { entries: () => held, append: async (entry) => void held.push(entry) };
}

/** STORE_CORRUPT when a line is damaged: what was spent is then unknown. */
export async function openPrivacyLedger(path: string): Promise<PrivacyLedger> {
  return openJsonLines(path, spending, WHAT);
}

/** What was spent so far, also while the client runs; STORE_CORRUPT as {@link openPrivacyLedger}. */
export async function readPrivacyLedger(path: string): Promise<readonly Spending[]> {
  return readJsonLines(path, spending, WHAT);
}

/** All that was spent, by mechanism. */
export function usesOf(entries: readonly Spending[]): Use[] {
  const uses = new Map<string, { mechanism: Mechanism; times: number }>();
  for (const { mechanism: used } of entries) {
    const key = JSON.stringify(used);
    uses.set(key, { mechanism: used, times: (uses.get(key)?.times ?? 0) + 1 });
  }
  return [...uses.values()];
}

const UNITS = { "sampled-gaussian": "example", "discrete-gaussian-sum": "client" } as const;

/** What this site has spent, counted at the delta of its own limit. */
export interface SiteSpending {
  /** Whom the noise was for: single pictures, the whole site, under one plan the one and under another the other, or nobody. */
  readonly unit: "example" | "client" | "both" | "none";
  readonly epsilon: number;
  readonly delta: number;
  /** The site's maxEpsilon; null: no limit. */
  readonly budget: number | null;
  readonly left: number | null;
  /** Noisy results that left, and the rounds that they were for. */
  readonly results: number;
  readonly rounds: number;
}

/** `privacy`: the plan's, where there is one: what it protects is counted at its delta if that is smaller. */
export function siteSpending(
  spent: readonly Spending[],
  { maxEpsilon, delta }: Pick<SitePolicy["privacy"], "maxEpsilon" | "delta">,
  privacy: PrivacyTerms["privacy"] = { unit: "none" },
): SiteSpending {
  const at = privacy.unit === "none" ? delta : Math.min(delta, privacy.delta);
  const epsilon = spent.length === 0 ? 0 : epsilonOf(usesOf(spent), at);
  const kinds = new Set(spent.map(({ mechanism: { kind } }) => kind));
  const [kind] = kinds;
  const unit = kind === undefined ? "none" : kinds.size > 1 ? "both" : UNITS[kind];
  return {
    unit,
    epsilon,
    delta: at,
    budget: maxEpsilon,
    left: maxEpsilon === null ? null : Math.max(0, maxEpsilon - epsilon),
    results: spent.length,
    rounds: new Set(spent.map(({ round }) => round)).size,
  };
}

/** What one round costs this very site; null without differential privacy. POLICY_PRIVACY when the plan names no noise. */
export function siteMechanism(terms: PrivacyTerms, examples: number): Mechanism | null {
  const { privacy } = terms;
  if (privacy.unit === "none") return null;
  const noise = noiseNeeded(privacy);
  return privacy.unit === "example" ? exampleMechanism(terms, examples, noise) : roundMechanism(terms, noise);
}

/**
 * PRIVACY_BUDGET when one more use would cost more than the site's limit, or than the plan's budget: each at a delta of
 * its own, the site's never above the plan's.
 */
export function checkBudget(
  terms: Pick<PrivacyTerms, "privacy">,
  next: Mechanism,
  spent: readonly Spending[],
  { maxEpsilon, delta }: Pick<SitePolicy["privacy"], "maxEpsilon" | "delta">,
): void {
  const { privacy } = terms;
  if (privacy.unit === "none") return;
  const uses = [...usesOf(spent), { mechanism: next, times: 1 }];
  const limits = [
    ["policy.privacy.maxEpsilon", maxEpsilon, Math.min(delta, privacy.delta)],
    ["privacy.budget of the plan", budgetOf(privacy), privacy.delta],
  ] as const;
  const costs = new Map<number, number>();
  for (const [field, limit, at] of limits) {
    if (limit === null) continue;
    const epsilon = costs.get(at) ?? epsilonOf(uses, at);
    costs.set(at, epsilon);
    if (epsilon <= limit) continue;
    const message = `${field}: this site would have spent epsilon ${epsilon.toFixed(3)} at delta ${at}, at most ${limit} is allowed`;
    throw new CodedError("PRIVACY_BUDGET", message, { field, expected: limit, got: epsilon });
  }
}
