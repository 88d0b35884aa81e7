/** What a site's policy says to a training plan, before anything runs. */
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import { checkTopology } from "../../shared/config/topology.ts";
import { longestClip } from "../../shared/privacy/adaptive-clip.ts";
import { checkAccountable } from "../../shared/privacy/accountable.ts";
import { noiseNeeded, plannedEpsilon, privateGrid, roundMechanism } from "../../shared/privacy/plan.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { COMPLETE_UP_TO } from "../../shared/secagg/sharing-graph.ts";

const PROTECTION = { off: 0, "semi-honest": 1, malicious: 2 } as const;

/** Every reason to refuse the plan, each a POLICY_* error naming the field of site.yaml, or what no site builds; empty: the policy allows it. */
export function planRefusals(policy: SitePolicy, plan: TrainingPlan): CodedError[] {
  const refusals: CodedError[] = [];
  if (!policy.models.includes(plan.model.name)) {
    refusals.push(
      new CodedError(
        "POLICY_MODEL",
        `policy.models: this site allows ${policy.models.join(", ")}; the plan trains ${plan.model.name}`,
        { field: "policy.models", expected: policy.models, got: plan.model.name },
      ),
    );
  }
  if (plan.model.own !== undefined) {
    try {
      checkTopology(plan.model.own);
    } catch (error) {
      if (!isCoded(error)) throw error;
      refusals.push(error);
    }
  }
  const { mode } = plan.secureAggregation;
  if (PROTECTION[mode] < PROTECTION[policy.requireSecureAggregation]) {
    refusals.push(
      new CodedError(
        "POLICY_SECURE_AGGREGATION",
        `policy.requireSecureAggregation: this site demands ${policy.requireSecureAggregation}; the plan has ${mode}`,
        { field: "policy.requireSecureAggregation", expected: policy.requireSecureAggregation, got: mode },
      ),
    );
  }
  // A buffer is filled by whoever comes first: there is no cohort whose sum could be secure.
  if (plan.strategy.name === "fedbuff" && mode !== "off") {
    const words = "strategy.name: fedbuff is asynchronous and cannot be summed securely, as the plan says it is";
    const details = { field: "strategy.name", expected: "another one", got: "fedbuff" };
    refusals.push(new CodedError("POLICY_SECURE_AGGREGATION", words, details));
  }
  const { groups } = plan.secureAggregation;
  if (groups !== null && groups.minSurvivors < policy.minGroup) {
    refusals.push(
      new CodedError(
        "POLICY_MIN_GROUP",
        `policy.minGroup: this site demands groups of ${policy.minGroup}; the plan sums groups of ${groups.minSurvivors}`,
        { field: "policy.minGroup", expected: policy.minGroup, got: groups.minSurvivors },
      ),
    );
  }
  const { cohort } = plan.schedule;
  const { corruptionRate } = plan.secureAggregation;
  // Where everybody shares with everybody, no rate is asked.
  if (mode !== "off" && cohort.max > COMPLETE_UP_TO && corruptionRate < policy.minCorruptionRate) {
    const words = `this site demands protection while ${policy.minCorruptionRate} of a cohort help the coordinator`;
    refusals.push(
      new CodedError(
        "POLICY_CORRUPTION_RATE",
        `policy.minCorruptionRate: ${words}; the plan of up to ${cohort.max} clients has ${corruptionRate}`,
        { field: "policy.minCorruptionRate", expected: policy.minCorruptionRate, got: corruptionRate },
      ),
    );
  }
  if (cohort.max < policy.minCohort) {
    refusals.push(
      new CodedError(
        "POLICY_MIN_COHORT",
        `policy.minCohort: this site demands cohorts of ${policy.minCohort}; the plan's never exceed ${cohort.max}`,
        { field: "policy.minCohort", expected: policy.minCohort, got: cohort.max },
      ),
    );
  }
  return [...refusals, ...privacyRefusals(policy, plan)];
}

/** POLICY_PRIVACY, whatever else is wrong with the plan: what the coordinator has checked is checked again here. */
function privacyRefusals(policy: SitePolicy, plan: TrainingPlan): CodedError[] {
  const refusals: CodedError[] = [];
  if (policy.privacy.maxEpsilon !== null && plan.privacy.unit === "none") {
    refusals.push(
      new CodedError(
        "POLICY_PRIVACY",
        `policy.privacy.maxEpsilon: this site allows ${policy.privacy.maxEpsilon}; the plan has no differential privacy`,
        { field: "policy.privacy.maxEpsilon", expected: policy.privacy.maxEpsilon, got: "none" },
      ),
    );
  }
  const { maxEpsilon, delta } = policy.privacy;
  // An epsilon says nothing without its delta.
  if (maxEpsilon !== null && plan.privacy.unit !== "none" && plan.privacy.delta > delta) {
    const got = plan.privacy.delta;
    const words = `policy.privacy.delta: this site counts epsilon at delta ${delta} at most; the plan has ${got}`;
    refusals.push(new CodedError("POLICY_PRIVACY", words, { field: "policy.privacy.delta", expected: delta, got }));
  }
  const { maxClipNorm } = policy.privacy;
  const longest = plan.privacy.unit === "client" ? longestClip(plan.privacy) : null;
  if (maxClipNorm !== null && longest !== null && longest > maxClipNorm) {
    const field = "policy.privacy.maxClipNorm";
    const words = `${field}: this site lets updates of ${maxClipNorm} through; the plan clips to ${longest} at most`;
    refusals.push(new CodedError("POLICY_PRIVACY", words, { field, expected: maxClipNorm, got: longest }));
  }
  const unaccountable = unaccountablePart(plan);
  if (unaccountable !== null) return [...refusals, unaccountable];
  const planned = policy.privacy.maxEpsilon === null ? null : plannedEpsilon(plan);
  if (planned !== null && planned > (policy.privacy.maxEpsilon ?? 0)) {
    const got = Number(planned.toFixed(3));
    const words = `policy.privacy.maxEpsilon: this site allows ${policy.privacy.maxEpsilon}; the plan's rounds cost ${got}`;
    const details = { field: "policy.privacy.maxEpsilon", expected: policy.privacy.maxEpsilon, got };
    refusals.push(new CodedError("POLICY_PRIVACY", words, details));
  }
  return refusals;
}

/** Why the plan's privacy cannot be had as it is accounted for; null: it can, or there is none. */
export function unaccountablePart(plan: TrainingPlan): CodedError | null {
  if (plan.privacy.unit === "none") return null;
  try {
    checkAccountable(plan);
    // The integers must fit with this very noise.
    if (plan.privacy.unit === "client") privateGrid(plan);
    else roundMechanism(plan, noiseNeeded(plan.privacy));
    return null;
  } catch (error) {
    if (!isCoded(error)) throw error;
    const message = `the plan's differential privacy is not what it says: ${error.message}`;
    return new CodedError("POLICY_PRIVACY", message, error.details, { cause: error });
  }
}
