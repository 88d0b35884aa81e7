/** A round's entry in report.json, from the facts gathered on the way. */
import type { EvaluationSummary, Exclusion, Reason, RoundFacts } from "./state.ts";

export interface RoundReport {
  readonly round: number;
  readonly status: "completed" | "failed";
  readonly attempts: number;
  readonly cohort: number;
  readonly survivors: number;
  readonly evaluated: number;
  readonly examples: number;
  readonly examplesSeen: number;
  /** Mean training loss; null where nothing was trained. */
  readonly loss: number | null;
  readonly metrics: EvaluationSummary["metrics"];
  readonly seconds: RoundFacts["seconds"] & { readonly total: number };
  readonly bytes: { readonly upload: number; readonly download: number };
  /** L2 norm of the mean delta, and the share of clipped coordinates. */
  readonly deltaNorm: number | null;
  readonly clippedShare: number | null;
  /** To which updates were clipped, where the norm adapts. */
  readonly clipNorm?: number;
  /** Spent by all rounds so far; null without differential privacy. */
  readonly epsilon: number | null;
  /** Clients left out, and why. */
  readonly excluded: readonly { readonly client: string; readonly code: string; readonly message: string }[];
  readonly reason: Reason | null;
}

export function roundReport(
  facts: RoundFacts,
  status: "completed" | "failed",
  endedAt: number,
  reason: Reason | null,
  bytes: { readonly upload: number; readonly download: number },
  epsilon: number | null = null,
): RoundReport {
  const { totals, evaluation } = facts;
  return {
    round: facts.round,
    status,
    attempts: facts.attempts,
    cohort: facts.cohort.length,
    survivors: facts.survivors.length,
    evaluated: evaluation?.clients ?? 0,
    examples: totals?.examples ?? 0,
    examplesSeen: totals?.examplesSeen ?? 0,
    loss: totals?.loss ?? null,
    metrics: evaluation?.metrics ?? {},
    seconds: { total: Math.max(0, endedAt - facts.startedAt) / 1000, ...facts.seconds },
    bytes,
    deltaNorm: totals?.deltaNorm ?? null,
    clippedShare: totals?.clippedShare ?? null,
    ...(totals?.clipNorm !== undefined && { clipNorm: totals.clipNorm }),
    epsilon,
    excluded: Object.entries(facts.excluded as Record<string, Exclusion>).map(([client, { code, message }]) => ({
      client,
      code,
      message,
    })),
    reason,
  };
}
