import { describe, expect, test } from "@jest/globals";
import { checkThresholds, thresholds, toleratedDropouts } from "../../../shared/secagg/thresholds.ts";

describe("thresholds", () => {
  test.each([
    // n, malicious t_b, t_s, tolerated
    [3, 3, 2, 0],
    [4, 3, 3, 1],
    [5, 4, 4, 1],
    [7, 5, 5, 2],
    [64, 43, 43, 21],
  ])("malicious, %i clients", (n, selfMask, maskKey, tolerated) => {
    expect(thresholds(n, "malicious")).toEqual({ selfMask, maskKey });
    expect(toleratedDropouts(n, "malicious", 3)).toBe(tolerated);
  });

  test("an honest client is safe while 2t > n + c, for every c below n / 3", () => {
    for (let n = 3; n <= 64; n++) {
      const { selfMask, maskKey } = thresholds(n, "malicious");
      for (let corrupt = 0; 3 * corrupt < n; corrupt++) expect(2 * selfMask).toBeGreaterThan(n + corrupt);
      // A client is survivor for some and dropout for the others: both secrets need more honest holders than there are.
      expect(selfMask + maskKey).toBeGreaterThan(n);
      expect(selfMask).toBeLessThanOrEqual(n);
      expect(maskKey).toBeLessThanOrEqual(n - 1);
    }
  });

  test("semi-honest needs a majority", () => {
    expect(thresholds(3, "semi-honest")).toEqual({ selfMask: 2, maskKey: 2 });
    expect(thresholds(10, "semi-honest")).toEqual({ selfMask: 6, maskKey: 6 });
  });

  test("the configuration is told what its smallest cohort tolerates, or what to change", () => {
    const config = { mode: "malicious", minSurvivors: 3, cohort: { min: 4, max: 64 } } as const;
    expect(checkThresholds(config)).toBe(1);
    const field = (changes: object) => {
      try {
        checkThresholds({ ...config, ...changes });
      } catch (error) {
        return (error as { details: { field: string } }).details.field;
      }
      return null;
    };
    expect(field({ minSurvivors: 2 })).toBe("schedule.minSurvivors");
    expect(field({ cohort: { min: 4, max: 1_000 } })).toBe(null);
    expect(field({ cohort: { min: 9, max: 8 } })).toBe("schedule.cohort.max");
    expect(field({ minSurvivors: 5 })).toBe("schedule.cohort.min");
  });
});
