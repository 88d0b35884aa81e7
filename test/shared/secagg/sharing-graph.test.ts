import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { log2Choose, log2Tail } from "../../../shared/secagg/hypergeometric.ts";
import {
  checkGraph,
  graphRisk,
  graphRule,
  sharingGraph,
  type GraphRule,
} from "../../../shared/secagg/sharing-graph.ts";
import { thresholds, type SecureMode } from "../../../shared/secagg/thresholds.ts";

const rule = (dropoutRate: number, corruptionRate: number): GraphRule => graphRule({ dropoutRate, corruptionRate });

/** n over k, exactly. */
function choose(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n;
  let out = 1n;
  for (let i = 1; i <= k; i++) out = (out * BigInt(n - i + 1)) / BigInt(i);
  return out;
}

function exactTail(population: number, marked: number, drawn: number, atLeast: number): number {
  let ways = 0n;
  for (let x = Math.max(0, atLeast); x <= drawn; x++)
    ways += choose(marked, x) * choose(population - marked, drawn - x);
  return Number((ways * 10n ** 30n) / choose(population, drawn)) / 1e30;
}

describe("hypergeometric tails", () => {
  test("agree with exact integers", () => {
    for (const [population, marked, drawn] of [
      [12, 4, 5],
      [30, 3, 20],
      [99, 10, 30],
      [60, 50, 40],
    ] as const) {
      for (let x = 0; x <= drawn + 1; x++) {
        const exact = exactTail(population, marked, drawn, x);
        expect(2 ** log2Tail(population, marked, drawn, x)).toBeCloseTo(exact, 10);
        if (exact > 1e-20) expect(log2Tail(population, marked, drawn, x)).toBeCloseTo(Math.log2(exact), 6);
        if (exact === 0) expect(log2Tail(population, marked, drawn, x)).toBe(Number.NEGATIVE_INFINITY);
      }
    }
    expect(log2Choose(52, 5)).toBeCloseTo(Math.log2(2_598_960), 10);
    expect(log2Choose(5, 6)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("the graph of a roster", () => {
  test.each<SecureMode>(["malicious", "semi-honest"])("is complete up to 64: %s", (mode) => {
    for (const n of [3, 17, 64]) {
      const expected = { complete: true, neighbours: n - 1, limits: thresholds(n, mode) };
      expect(sharingGraph(n, mode, rule(0.1, 0.1))).toEqual(expected);
    }
    expect(sharingGraph(65, mode, rule(0.1, 0.1)).complete).toBe(false);
  });

  test("needs 116 neighbours among 1,000 at 10 % corruption, and 356 at 20 %", () => {
    expect(sharingGraph(1_000, "malicious", rule(0.1, 0.1)).neighbours).toBe(116);
    const enough = (k: number) => {
      const { failure, secrets, parts } = graphRisk(1_000, k, "malicious", rule(0.1, 0.2));
      return failure <= -20 && Math.log2(2 ** secrets + 2 ** parts) <= -40;
    };
    expect([200, 254, 300, 340, 350, 353, 354, 355, 356].find(enough)).toBe(356);
  });

  test("with 20 neighbours nine rounds in ten would fail", () => {
    const { selfMask, maskKey } = thresholds(21, "malicious");
    const survivor = 2 ** log2Tail(999, 100, 20, 22 - selfMask);
    const dropout = 2 ** log2Tail(999, 99, 20, 21 - maskKey);
    const failure = 1 - (1 - survivor) ** 900 * (1 - dropout) ** 100;
    expect(failure).toBeGreaterThan(0.9);
    expect(2 ** graphRisk(1_000, 20, "malicious", rule(0.1, 0.1)).failure).toBeGreaterThan(failure);
  });

  test.each<[SecureMode, number]>([
    ["malicious", 0.1],
    ["malicious", 0.05],
    ["semi-honest", 0.1],
  ])("keeps both bounds, and one neighbour less does not: %s, %d", (mode, rate) => {
    for (const n of [65, 90, 300, 1_000]) {
      const { neighbours, limits } = sharingGraph(n, mode, rule(rate, rate));
      const risk = (k: number) => {
        const { failure, secrets, parts } = graphRisk(n, k, mode, rule(rate, rate));
        return failure <= -20 && Math.log2(2 ** secrets + 2 ** parts) <= -40;
      };
      expect(risk(neighbours)).toBe(true);
      expect(risk(neighbours - 1)).toBe(false);
      expect(limits).toEqual(thresholds(neighbours + 1, mode));
      expect(neighbours).toBeLessThan(255);
    }
  });

  test("the failure bound holds in simulated rounds where it can be seen", () => {
    // Bounds of a few per cent instead of 2^-20, so that some hundred rounds show them.
    const n = 80;
    const k = 14;
    const { selfMask } = thresholds(k + 1, "malicious");
    const gone = 8;
    let state = 12_345;
    const random = () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    const pick = () => {
      const others = Array.from({ length: n - 1 }, (_, i) => i);
      for (let i = 0; i < k; i++) {
        const at = i + Math.floor(random() * (others.length - i));
        [others[i], others[at]] = [others[at] as number, others[i] as number];
      }
      return others.slice(0, k);
    };
    let failed = 0;
    const rounds = 400;
    for (let round = 0; round < rounds; round++) {
      // The first `gone` others are the ones that vanish; every survivor has a share of its own.
      const lacks = Array.from({ length: n - gone }, () => 1 + pick().filter((i) => i >= gone).length < selfMask);
      if (lacks.includes(true)) failed++;
    }
    const bound = 2 ** graphRisk(n, k, "malicious", rule(gone / n, 0.1)).failure;
    expect(bound).toBeLessThan(0.5);
    expect(failed / rounds).toBeLessThan(bound + 0.05);
    expect(failed).toBeGreaterThan(0);
  });

  test("a configuration for which no client could have neighbours enough names the rate", () => {
    const field = (max: number, rates: GraphRule): unknown => {
      try {
        checkGraph({ max }, "malicious", rates);
      } catch (error) {
        return (error as { details: { field: string } }).details.field;
      }
      return null;
    };
    expect(field(1_000, rule(0.1, 0.1))).toBe(null);
    expect(field(2_000, rule(0.1, 0.1))).toBe(null);
    expect(field(1_000, rule(0.1, 0.2))).toBe("secureAggregation.corruptionRate");
    expect(field(1_000, rule(0.2, 0.1))).toBe("secureAggregation.dropoutRate");
    // Up to 255 everybody can still share with everybody.
    expect(field(255, rule(0.1, 0.3))).toBe(null);
    expect(field(2_001, rule(0.1, 0.1))).toBe("schedule.cohort.max");
  });
});

describe("docs/protocol.md", () => {
  test("has the numbers that the code derives", () => {
    const text = readFileSync("docs/protocol.md", "utf8");
    const rows = [...text.matchAll(/^\| +([\d,]+) +\| +(\d+) % +\| +(\d+) % +\| +(\d+|none) +\| +(\d+|-) +\|/gm)];
    expect(rows.length).toBeGreaterThan(8);
    for (const [, size = "", dropout, corruption, neighbours, threshold] of rows) {
      const n = Number(size.replace(",", ""));
      const rates = rule(Number(dropout) / 100, Number(corruption) / 100);
      if (neighbours === "none") {
        expect(() => sharingGraph(n, "malicious", rates)).toThrow(/neighbours/);
        continue;
      }
      const graph = sharingGraph(n, "malicious", rates);
      expect([size, String(graph.neighbours), String(graph.limits.selfMask)]).toEqual([size, neighbours, threshold]);
    }
  });
});
