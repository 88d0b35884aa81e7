/** privacy of federation.yaml: what it derives, and what it refuses. */
import { describe, expect, test } from "@jest/globals";
import { parseFederationConfig } from "../../coordinator/config.ts";
import { withoutNoise, withPrivacy } from "../../coordinator/privacy-config.ts";
import { plannedEpsilon } from "../../shared/privacy/plan.ts";

const parsed = (privacy: string, rest = "") =>
  parseFederationConfig(`federation: test\nlabels: { scene: [a, b] }\nprivacy: ${privacy}\n${rest}`).config;

describe("noise follows from epsilon", () => {
  test.each(["{ unit: example, epsilon: 3, minExamples: 200 }", "{ unit: client, epsilon: 12 }"])("%s", (privacy) => {
    const config = parsed(privacy);
    const { epsilon } = config.privacy as { epsilon: number };
    const cost = plannedEpsilon(config) as number;
    expect(cost).toBeLessThanOrEqual(epsilon);
    expect(cost).toBeGreaterThan(epsilon * 0.97);
    // A configuration that was checked is checked again, to the same.
    expect(withPrivacy(config)).toEqual(config);
    expect(withoutNoise(config.privacy)).not.toHaveProperty("noise");
  });

  test("a noise multiplier of one's own is kept; a derived one cannot be changed by hand", () => {
    expect(parsed("{ unit: client, noiseMultiplier: 1.5, budget: 100 }").privacy).not.toHaveProperty("noise");
    expect(() => parsed("{ unit: client, epsilon: 8, noise: 0.3 }")).toThrow("privacy.noise: expected nothing, or");
  });

  test("short words keep the budget, too, or are refused", () => {
    const short = (max: number) =>
      parsed(
        "{ unit: client, epsilon: 100 }",
        `secureAggregation: { wordBits: 16, maxWeight: 1 }\nschedule: { rounds: 1, cohort: { max: ${max} } }`,
      );
    expect(plannedEpsilon(short(200))).toBeLessThanOrEqual(100);
    expect(() => short(10_000)).toThrow("expected");
  });

  test("none stays none", () => {
    expect(parsed("{ unit: none }").privacy).toEqual({ unit: "none" });
    expect(plannedEpsilon(parsed("{ unit: none }"))).toBeNull();
  });
});

test.each([
  ["{ unit: example }", "training: { localEpochs: 1 }", "training.localEpochs"],
  ["{ unit: example }", "training: { curriculum: {} }", "training.curriculum"],
  ["{ unit: example }", "training: { semiSupervised: {} }", "training.semiSupervised"],
  ["{ unit: example, minExamples: 4 }", "", "privacy.minExamples"],
  ["{ unit: client, colluders: 2 }", "", "privacy.colluders"],
  ["{ unit: client }", "strategy: { name: fednova }", "strategy.name"],
  ["{ unit: client }", "clip: { norm: 3 }", "clip.norm"],
  ["{ unit: client }", "aggregation: { rule: median }\nsecureAggregation: { mode: off }", "aggregation.rule"],
  [
    "{ unit: client }",
    "schedule: { untilMetric: { head: scene, metric: accuracy, atLeast: 0.9 } }",
    "schedule.untilMetric",
  ],
])("refuses %s with %s, naming %s", (privacy, rest, field) => {
  expect(() => parsed(privacy, rest)).toThrow(field);
});
