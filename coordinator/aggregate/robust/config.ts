/** What `aggregation` needs of the rest of federation.yaml. */
import { updatesNeeded } from "../../../shared/config/aggregation.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import { invalidField } from "../../../shared/config/parse.ts";

/** Distances between more updates than this take hundreds of megabytes. */
const MOST_UPDATES = 4_096;

/** CONFIG_INVALID: single updates must be visible, and enough of them for what the rule promises. */
export function checkAggregation({ aggregation, schedule, secureAggregation }: FederationConfig): void {
  const { rule } = aggregation;
  if (rule === "mean") return;
  if (secureAggregation.mode !== "off") {
    throw invalidField("aggregation.rule", "mean, as secure aggregation hides single updates", rule);
  }
  const needed = updatesNeeded(aggregation);
  if (schedule.minSurvivors < needed) {
    throw invalidField("schedule.minSurvivors", `at least ${needed}, which ${rule} needs`, schedule.minSurvivors);
  }
  if (schedule.cohort.max > MOST_UPDATES) {
    throw invalidField("schedule.cohort.max", `at most ${MOST_UPDATES} with ${rule}`, schedule.cohort.max);
  }
}
