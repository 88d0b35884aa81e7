import { describe, expect, test } from "@jest/globals";
import { canonicalJson } from "../../../shared/canonical.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { configHashOf, planOf, planText, readPlan } from "../../../shared/config/plan.ts";

const config = federationConfig.parse({ federation: "chest-ultrasound" });
const text = planText(planOf(config));

describe("training plan", () => {
  test("comes back from its text", () => {
    expect(readPlan(text, configHashOf(text))).toEqual(planOf(config));
  });

  test("does not change with what concerns the coordinator alone", () => {
    const moved = federationConfig.parse({
      federation: "chest-ultrasound",
      listen: { port: 9 },
      schedule: { every: "6h", phaseDeadlines: { recruit: "1m" } },
    });
    expect(planText(planOf(moved))).toBe(text);
  });

  test.each([
    ["seed", { seed: 8 }],
    ["training", { training: { localSteps: 3 } }],
    ["secure aggregation", { secureAggregation: { mode: "off" } }],
    ["cohort", { schedule: { cohort: { min: 3 } } }],
  ])("changes with %s", (_what, change) => {
    expect(planText(planOf(federationConfig.parse({ federation: "chest-ultrasound", ...change })))).not.toBe(text);
  });

  test.each([
    ["another hash", text, configHashOf("x")],
    ["no JSON", "{", configHashOf("{")],
    ["an unknown field", canonicalJson({ ...planOf(config), extra: 1 }), null],
    ["a missing field", canonicalJson({ federation: "x" }), null],
    ["spaces", ` ${text}`, null],
  ])("refuses %s", (_what, sent, hash) => {
    expect(() => readPlan(sent, hash ?? configHashOf(sent))).toThrow(expect.objectContaining({ code: "PLAN_INVALID" }));
  });
});
