/** What a site's policy says while a round runs. Each check throws a POLICY_* error naming the field of site.yaml. */
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import { isOpen, nextOpening } from "../../shared/config/window.ts";
import { CodedError } from "../../shared/errors.ts";
import type { Purpose } from "../../shared/ids.ts";
import { adaptiveClip } from "../../shared/privacy/adaptive-clip.ts";
import type { SessionContext } from "../../shared/secagg/session.ts";

/** POLICY_HOURS outside the site's hours; the message says when they begin. */
export function checkHours(policy: SitePolicy, nowMs: number): void {
  if (policy.hours === null || isOpen(policy.hours, nowMs)) return;
  const opens = new Date(nextOpening(policy.hours, nowMs)).toISOString();
  throw new CodedError("POLICY_HOURS", `policy.hours: this site takes part again from ${opens}`, {
    field: "policy.hours",
    opens,
  });
}

/** The norm to which a round clips must be one that the approved plan allows, and none where the plan fixes it. SESSION_CLIP. */
export function checkClip({ privacy }: Pick<TrainingPlan, "privacy">, { purpose, clipNorm }: SessionContext): void {
  const adaptive = purpose === "training" ? adaptiveClip(privacy) : null;
  const allowed =
    adaptive === null
      ? clipNorm === undefined
      : clipNorm !== undefined && clipNorm >= adaptive.min && clipNorm <= adaptive.max;
  if (allowed) return;
  const expected = adaptive === null ? "none" : `${adaptive.min} to ${adaptive.max}`;
  throw new CodedError(
    "SESSION_CLIP",
    `the invitation's clipping norm is ${clipNorm ?? "none"}, expected ${expected}`,
    {
      field: "clipNorm",
      expected,
      got: clipNorm ?? null,
    },
  );
}

/** A training cohort needs minCohort members; an evaluation, whose sums are small counts, minSurvivors. */
export function checkCohort(policy: SitePolicy, purpose: Purpose, members: number): void {
  const [code, field, least] =
    purpose === "training"
      ? (["POLICY_MIN_COHORT", "policy.minCohort", policy.minCohort] as const)
      : (["POLICY_MIN_SURVIVORS", "policy.minSurvivors", policy.minSurvivors] as const);
  if (members >= least) return;
  throw new CodedError(code, `${field}: this site demands ${least} clients; the roster has ${members}`, {
    field,
    expected: least,
    got: members,
  });
}

/** A sum needs minSurvivors members; POLICY_MIN_SURVIVORS. */
export function checkSurvivors(policy: SitePolicy, survivors: number): void {
  if (survivors >= policy.minSurvivors) return;
  throw new CodedError(
    "POLICY_MIN_SURVIVORS",
    `policy.minSurvivors: this site demands ${policy.minSurvivors} survivors; the list has ${survivors}`,
    { field: "policy.minSurvivors", expected: policy.minSurvivors, got: survivors },
  );
}
