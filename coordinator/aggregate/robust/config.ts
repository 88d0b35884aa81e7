/** What `aggregation` needs of the rest of federation.yaml. */
import { updatesNeeded } from "../../../shared/config/aggregation.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import { invalidField } from "../../../shared/config/parse.ts";
import { COMPLETE_UP_TO } from "../../../shared/secagg/sharing-graph.ts";

/** Distances between more updates than this take hundreds of megabytes. */
const MOST_UPDATES = 4_096;

/** CONFIG_INVALID: updates, or groups of them, must be visible, and enough for what the rule promises. */
export function checkAggregation(config: FederationConfig): void {
  const { aggregation, schedule, secureAggregation } = config;
  const { rule } = aggregation;
  const { groups, mode } = secureAggregation;
  if (groups !== null && (rule === "mean" || mode === "off")) {
    throw invalidField("secureAggregation.groups", `null with ${rule === "mean" ? "rule mean" : "mode off"}`, groups);
  }
  if (rule === "mean") return;
  if (mode !== "off") return checkGroups(config, groups);
  const needed = updatesNeeded(aggregation);
  if (schedule.minSurvivors < needed) {
    throw invalidField("schedule.minSurvivors", `at least ${needed}, which ${rule} needs`, schedule.minSurvivors);
  }
  if (schedule.cohort.max > MOST_UPDATES) {
    throw invalidField("schedule.cohort.max", `at most ${MOST_UPDATES} with ${rule}`, schedule.cohort.max);
  }
}

function checkGroups(
  { aggregation, schedule: { cohort }, transcripts }: FederationConfig,
  groups: FederationConfig["secureAggregation"]["groups"],
): void {
  const { rule } = aggregation;
  if (groups === null) {
    throw invalidField("secureAggregation.groups", `groups for ${rule}, as single updates are hidden`, groups);
  }
  if (groups.minSurvivors > groups.size) {
    throw invalidField("secureAggregation.groups.minSurvivors", `at most size (${groups.size})`, groups.minSurvivors);
  }
  const least = updatesNeeded(aggregation) * groups.size;
  if (cohort.min < least) {
    throw invalidField("schedule.cohort.min", `at least ${least}: the groups that ${rule} needs`, cohort.min);
  }
  // Masks within groups need everybody to share keys with everybody.
  if (cohort.max > COMPLETE_UP_TO) {
    throw invalidField("schedule.cohort.max", `at most ${COMPLETE_UP_TO} with groups`, cohort.max);
  }
  if (transcripts.keepInputs > 0) {
    throw invalidField("transcripts.keepInputs", "0 with groups, whose sums are not kept", transcripts.keepInputs);
  }
}
