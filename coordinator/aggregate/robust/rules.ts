/** The table of robust rules: what each does with the distances between the updates, and with their coordinates. */
import type { Aggregation, AggregationRule } from "../../../shared/config/aggregation.ts";
import { centredClipping, geometricMedian, meanOf, normClipping } from "./combination.ts";
import { closestToMedian, medianOf, trimmedMean, type CoordinateRule } from "./coordinates.ts";
import type { Distances } from "./distances.ts";
import { bulyanSelection, multiKrum } from "./selection.ts";

/** What is done with the updates, coordinate by coordinate. */
export type Recipe =
  /** Their weighted sum; coefficients of the updates and of the origin. */
  | { readonly coefficients: Float64Array }
  /** A rule over the values of some of them. */
  | { readonly chosen: readonly number[]; readonly rule: CoordinateRule };

/** Rules over single coordinates need no distances. */
export type RobustRule = { readonly byDistance: (distances: Distances) => Recipe } | { readonly rule: CoordinateRule };

type Chosen<R extends AggregationRule> = Extract<Aggregation, { rule: R }>;

const RULES: { readonly [R in Exclude<AggregationRule, "mean">]: (chosen: Chosen<R>) => RobustRule } = {
  krum: ({ attackers }) => ({
    byDistance: (distances) => ({ coefficients: meanOf(multiKrum(distances, attackers, 1), distances.count) }),
  }),
  multiKrum: ({ attackers, keep }) => ({
    byDistance: (distances) => {
      const kept = multiKrum(distances, attackers, keep ?? Math.max(1, distances.count - attackers - 2));
      return { coefficients: meanOf(kept, distances.count) };
    },
  }),
  bulyan: ({ attackers }) => ({
    byDistance: (distances) => ({ chosen: bulyanSelection(distances, attackers), rule: closestToMedian(attackers) }),
  }),
  median: () => ({ rule: medianOf }),
  trimmedMean: ({ attackers }) => ({ rule: trimmedMean(attackers) }),
  geometricMedian: ({ iterations, smoothing }) => ({
    byDistance: (distances) => ({ coefficients: geometricMedian(distances, iterations, smoothing) }),
  }),
  normClipping: ({ norm }) => ({
    byDistance: (distances) => ({ coefficients: normClipping(distances, norm) }),
  }),
  centredClipping: ({ radius, iterations }) => ({
    byDistance: (distances) => ({ coefficients: centredClipping(distances, radius, iterations) }),
  }),
};

/** The rule that federation.yaml names; null: the weighted mean, for which nobody looks at single updates. */
export function robustRule(aggregation: Aggregation): RobustRule | null {
  if (aggregation.rule === "mean") return null;
  const make = RULES[aggregation.rule] as (chosen: Aggregation) => RobustRule;
  return make(aggregation);
}
