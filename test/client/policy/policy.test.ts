import { describe, expect, test } from "@jest/globals";
import { planRefusals } from "../../../client/policy/plan-policy.ts";
import { checkCohort, checkHours, checkSurvivors } from "../../../client/policy/round-policy.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { planOf } from "../../../shared/config/plan.ts";
import { sitePolicy } from "../../../shared/config/site.ts";
import { CodedError } from "../../../shared/errors.ts";

const plan = (changes: object = {}) => planOf(federationConfig.parse({ federation: "test", ...changes }));
const policy = (changes: object = {}) => sitePolicy.parse(changes);

describe("what a site's policy says to a plan", () => {
  test.each([
    ["the defaults of both", {}, {}, []],
    ["another model", {}, { model: { name: "cnn" } }, ["POLICY_MODEL policy.models"]],
    ["a model that was added", { models: ["allulook4", "cnn"] }, { model: { name: "cnn" } }, []],
    [
      "semi-honest where malicious is demanded",
      {},
      { secureAggregation: { mode: "semi-honest" } },
      ["POLICY_SECURE_AGGREGATION policy.requireSecureAggregation"],
    ],
    [
      "off where semi-honest is demanded",
      { requireSecureAggregation: "semi-honest" },
      { secureAggregation: { mode: "off" } },
      ["POLICY_SECURE_AGGREGATION policy.requireSecureAggregation"],
    ],
    [
      "an asynchronous strategy that is said to be summed securely",
      {},
      { strategy: { name: "fedbuff" } },
      ["POLICY_SECURE_AGGREGATION strategy.name"],
    ],
    ["more than is demanded", { requireSecureAggregation: "off" }, {}, []],
    [
      "large cohorts in which none may be corrupt",
      {},
      {
        schedule: { cohort: { max: 1000 } },
        secureAggregation: { dropoutRate: 0, corruptionRate: 0 },
      },
      ["POLICY_CORRUPTION_RATE policy.minCorruptionRate"],
    ],
    [
      "large cohorts in which fewer may be corrupt than the site demands",
      { minCorruptionRate: 0.15 },
      { schedule: { cohort: { max: 65 } }, secureAggregation: { mode: "semi-honest" } },
      ["POLICY_SECURE_AGGREGATION policy.requireSecureAggregation", "POLICY_CORRUPTION_RATE policy.minCorruptionRate"],
    ],
    ["large cohorts in which enough may", {}, { schedule: { cohort: { max: 1000 } } }, []],
    ["cohorts that are never large", {}, { secureAggregation: { corruptionRate: 0 } }, []],
    [
      "large cohorts without secure aggregation, where it is not demanded",
      { requireSecureAggregation: "off" },
      { schedule: { cohort: { max: 1000 } }, secureAggregation: { mode: "off", corruptionRate: 0 } },
      [],
    ],
    [
      "cohorts that can never be large enough",
      { minCohort: 9 },
      { schedule: { cohort: { min: 4, max: 8 } } },
      ["POLICY_MIN_COHORT policy.minCohort"],
    ],
    ["cohorts that can", { minCohort: 8 }, { schedule: { cohort: { min: 4, max: 8 } } }, []],
    [
      "no privacy where epsilon is bounded",
      { privacy: { maxEpsilon: 8 } },
      {},
      ["POLICY_PRIVACY policy.privacy.maxEpsilon"],
    ],
    [
      "longer updates than the site lets through",
      { privacy: { maxClipNorm: 2 } },
      { privacy: { unit: "client", noise: 3, clipNorm: { adaptive: { max: 3 } } } },
      ["POLICY_PRIVACY policy.privacy.maxClipNorm"],
    ],
    [
      "updates as long as the site lets through",
      { privacy: { maxClipNorm: 2 } },
      { privacy: { unit: "client", noise: 3, clipNorm: 2 } },
      [],
    ],
    [
      "everything at once",
      { privacy: { maxEpsilon: 1 }, minCohort: 9 },
      { model: { name: "cnn" }, secureAggregation: { mode: "off" }, schedule: { cohort: { min: 4, max: 8 } } },
      [
        "POLICY_MODEL policy.models",
        "POLICY_SECURE_AGGREGATION policy.requireSecureAggregation",
        "POLICY_MIN_COHORT policy.minCohort",
        "POLICY_PRIVACY policy.privacy.maxEpsilon",
      ],
    ],
  ])("%s", (_what, site, federation, expected) => {
    const refusals = planRefusals(policy(site), plan(federation));
    expect(refusals.map(({ code, details }) => `${code} ${String(details["field"])}`)).toEqual(expected);
    for (const { message, details } of refusals) expect(message).toContain(String(details["field"]));
  });
});

function codeOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    expect(error.message).toContain(String(error.details["field"]));
    return error.code;
  }
}

describe("what it says while a round runs", () => {
  const strict = policy({ minCohort: 5, minSurvivors: 4, hours: "19:00-06:00 UTC" });

  test.each([
    ["training", 5, null],
    ["training", 4, "POLICY_MIN_COHORT"],
    // An evaluation sums counts of the round's survivors: it needs minSurvivors only.
    ["evaluation", 4, null],
    ["evaluation", 3, "POLICY_MIN_SURVIVORS"],
  ] as const)("%s with %d clients", (purpose, members, expected) => {
    expect(codeOf(() => checkCohort(strict, purpose, members))).toBe(expected);
  });

  test.each([
    [4, null],
    [3, "POLICY_MIN_SURVIVORS"],
  ])("%d survivors", (survivors, expected) => {
    expect(codeOf(() => checkSurvivors(strict, survivors))).toBe(expected);
  });

  test.each([
    [18, "POLICY_HOURS"],
    [19, null],
    [3, null],
    [6, "POLICY_HOURS"],
  ])("at %d o'clock", (hour, expected) => {
    expect(codeOf(() => checkHours(strict, Date.UTC(2026, 0, 5, hour)))).toBe(expected);
  });

  test("the refusal says when the hours begin, and no hours are no limit", () => {
    expect(() => checkHours(strict, Date.UTC(2026, 0, 5, 12))).toThrow("2026-01-05T19:00:00.000Z");
    expect(codeOf(() => checkHours(policy(), 0))).toBe(null);
  });
});
