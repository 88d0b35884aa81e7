/** Schema of `aggregation` in federation.yaml: how the clients' updates become one. */
import { z } from "zod";

/** Clients that may be bad at a time, f of the papers. */
const attackers = z.int().min(1).max(1_000).default(1);
const iterations = (usual: number) => z.int().min(1).max(100).default(usual);

export const aggregation = z.discriminatedUnion("rule", [
  z.strictObject({ rule: z.literal("mean") }),
  z.strictObject({ rule: z.literal("krum"), attackers }),
  /** `keep`: how many updates the mean is taken of; left out: n - attackers - 2. */
  z.strictObject({ rule: z.literal("multiKrum"), attackers, keep: z.int().min(1).max(10_000).optional() }),
  z.strictObject({ rule: z.literal("bulyan"), attackers }),
  z.strictObject({ rule: z.literal("median") }),
  z.strictObject({ rule: z.literal("trimmedMean"), attackers }),
  z.strictObject({
    rule: z.literal("geometricMedian"),
    iterations: iterations(32),
    /** Distances below it count as this long. */
    smoothing: z.number().positive().default(1e-6),
  }),
  /** `norm`: longer updates are shortened to it; null: the median of the round's norms. */
  z.strictObject({ rule: z.literal("normClipping"), norm: z.number().positive().nullable().default(null) }),
  /** `radius`: of the ball around the centre to which updates are pulled; null: the median of their distances. */
  z.strictObject({
    rule: z.literal("centredClipping"),
    radius: z.number().positive().nullable().default(null),
    iterations: iterations(5),
  }),
]);

export type Aggregation = z.infer<typeof aggregation>;
export type AggregationRule = Aggregation["rule"];

/** Fewest updates for which the rule's paper promises anything. */
export function updatesNeeded(chosen: Aggregation): number {
  switch (chosen.rule) {
    case "krum":
      return 2 * chosen.attackers + 3;
    case "multiKrum":
      return Math.max(2 * chosen.attackers + 3, (chosen.keep ?? 1) + chosen.attackers + 2);
    case "bulyan":
      return 4 * chosen.attackers + 3;
    case "trimmedMean":
      return 2 * chosen.attackers + 1;
    default:
      return 1;
  }
}
