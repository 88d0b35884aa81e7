import { describe, expect, test } from "@jest/globals";
import { affordableTimes, epsilonOf, leastNoise, type Mechanism } from "../../../shared/privacy/mechanism.ts";

const steps = (noiseMultiplier: number, count = 20): Mechanism => ({
  kind: "sampled-gaussian",
  rate: 0.05,
  noiseMultiplier,
  steps: count,
});
const sum = (stddev: number): Mechanism => ({
  kind: "discrete-gaussian-sum",
  clients: 3,
  stddev,
  sensitivity: 1000,
  dimension: 1000,
});

describe("what mechanisms cost", () => {
  test("nothing for nothing; the same in one use or several; more with other kinds", () => {
    expect(epsilonOf([], 1e-5)).toBe(0);
    expect(epsilonOf([{ mechanism: steps(1), times: 0 }], 1e-5)).toBe(0);
    const whole = epsilonOf([{ mechanism: steps(1, 100), times: 1 }], 1e-5);
    expect(epsilonOf([{ mechanism: steps(1, 10), times: 10 }], 1e-5)).toBeCloseTo(whole, 9);
    const both = [
      { mechanism: steps(1, 100), times: 1 },
      { mechanism: sum(2000), times: 3 },
    ];
    expect(epsilonOf(both, 1e-5)).toBeGreaterThan(whole);
  });

  test("the least noise spends the budget and no more", () => {
    for (const make of [steps, (noise: number) => sum(noise * 1000)]) {
      const uses = (noise: number) => [{ mechanism: make(noise), times: 10 }];
      const noise = leastNoise(uses, 4, 1e-5) as number;
      expect(epsilonOf(uses(noise), 1e-5)).toBeLessThanOrEqual(4);
      expect(epsilonOf(uses(noise - 0.002), 1e-5)).toBeGreaterThan(4);
    }
  });

  test("a budget that no noise keeps is said to be one", () => {
    expect(leastNoise(() => [{ mechanism: steps(0), times: 1 }], 1, 1e-5)).toBeNull();
  });

  test("as many uses as the budget has room for, after what was spent", () => {
    const budget = { epsilon: 3, delta: 1e-5 };
    const mechanism = sum(3000);
    const fresh = affordableTimes(mechanism, [], budget, 1000);
    expect(epsilonOf([{ mechanism, times: fresh }], 1e-5)).toBeLessThanOrEqual(3);
    expect(epsilonOf([{ mechanism, times: fresh + 1 }], 1e-5)).toBeGreaterThan(3);
    expect(affordableTimes(mechanism, [{ mechanism, times: 2 }], budget, 1000)).toBe(fresh - 2);
    expect(affordableTimes(mechanism, [], budget, 1)).toBe(Math.min(1, fresh));
  });
});
