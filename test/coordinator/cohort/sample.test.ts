import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { cohortSize, sampleCohort, type CohortRule } from "../../../coordinator/cohort/sample.ts";
import type { ClientName } from "../../../shared/ids.ts";

const names = (n: number): ClientName[] => Array.from({ length: n }, (_, i) => `c${i}` as ClientName);
const RULE: CohortRule = { fraction: 0.5, min: 4, max: 10, overSelect: 1.5 };

describe("the cohort", () => {
  test("is a fraction of those available, within bounds, and some more are invited", () => {
    expect(cohortSize(RULE, 4)).toEqual({ target: 4, invited: 4 });
    expect(cohortSize(RULE, 12)).toEqual({ target: 6, invited: 9 });
    expect(cohortSize(RULE, 100)).toEqual({ target: 10, invited: 10 });
  });

  test("nobody is invited below the minimum", () => {
    expect(sampleCohort(RULE, 7, 1, names(3))).toEqual([]);
  });

  test("depends on seed and round, not on the order in which clients came", () => {
    const pool = names(20);
    const first = sampleCohort(RULE, 7, 1, pool);
    expect(sampleCohort(RULE, 7, 1, pool.toReversed())).toEqual(first);
    expect(sampleCohort(RULE, 7, 2, pool)).not.toEqual(first);
    expect(sampleCohort(RULE, 8, 1, pool)).not.toEqual(first);
  });

  test("without one of the invited the others stay", () => {
    const pool = names(20);
    const first = sampleCohort(RULE, 7, 1, pool);
    const without = sampleCohort(
      RULE,
      7,
      1,
      pool.filter((name) => name !== first[0]),
    );
    for (const name of first.slice(1)) expect(without).toContain(name);
  });

  test("is sorted, has no one twice and never exceeds the maximum", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 10, max: 30 }),
        (available, percent, min, more, tenths) => {
          const rule = { fraction: percent / 100, min, max: min + more, overSelect: tenths / 10 };
          const cohort = sampleCohort(rule, 1, 1, names(available));
          if (available < min) return expect(cohort).toEqual([]);
          expect(cohort.length).toBeGreaterThanOrEqual(min);
          expect(cohort.length).toBeLessThanOrEqual(Math.min(rule.max, available));
          expect(cohort).toEqual([...new Set(cohort)].toSorted((a, b) => (a < b ? -1 : 1)));
        },
      ),
    );
  });

  test("gives every client its turn", () => {
    const pool = names(12);
    const times = new Map<ClientName, number>();
    const rule = { fraction: 0.25, min: 1, max: 10, overSelect: 1 };
    for (let round = 1; round <= 400; round++) {
      for (const name of sampleCohort(rule, 3, round, pool)) times.set(name, (times.get(name) ?? 0) + 1);
    }
    // 400 rounds of 3 in 12: 100 each, standard deviation 8.7.
    for (const name of pool) expect(Math.abs((times.get(name) ?? 0) - 100)).toBeLessThan(40);
  });
});
