/** The fixed point of client-level privacy: the clipping norm is as many steps as the noise was made for. */
import type { FixedPoint } from "../quantize/fixed-point.ts";
import type { WordBits } from "../secagg/mask.ts";
import type { PrivateGrid } from "./plan.ts";

/** What both sides of client-level privacy count in. */
export function privateFixedPoint(
  grid: PrivateGrid,
  { wordBits, cohortMax, clipNorm }: { wordBits: WordBits; cohortMax: number; clipNorm: number },
): FixedPoint {
  const { update } = grid;
  return { wordBits, cohortMax, maxWeight: 1, bound: clipNorm, qMax: update, scale: update / clipNorm };
}

/** The same rules for a round whose clipping norm is this one; where the plan fixes it, as they are. */
export function atClip<T extends { readonly fixed: FixedPoint; readonly clipNorm: number | null }>(
  rules: T,
  clipNorm: number | undefined,
): T {
  if (clipNorm === undefined) return rules;
  const { fixed } = rules;
  return { ...rules, clipNorm, fixed: { ...fixed, bound: clipNorm, scale: fixed.qMax / clipNorm } };
}
