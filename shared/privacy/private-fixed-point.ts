/** The fixed point of client-level privacy: the clipping norm is as many steps as the noise was made for. */
import type { FixedPoint } from "../quantize/fixed-point.ts";
import type { WordBits } from "../secagg/mask.ts";
import type { NoisyGrid } from "./plan.ts";

/** What both sides of client-level privacy count in. */
export function privateFixedPoint(
  grid: NoisyGrid,
  { wordBits, cohortMax, clipNorm }: { wordBits: WordBits; cohortMax: number; clipNorm: number },
): FixedPoint {
  const { sensitivity } = grid;
  return { wordBits, cohortMax, maxWeight: 1, bound: clipNorm, qMax: sensitivity, scale: sensitivity / clipNorm };
}
