import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Dataset, Sample } from "../../../models/preprocess/sample.ts";
import { dirichlet } from "../../../simulations/partition/dirichlet.ts";
import { partition, partitionIndices, type Partitioner } from "../../../simulations/partition/partition.ts";
import { Rng } from "../../../shared/rng/rng.ts";

type Entries = Dataset["entries"];

const ofSites = (sizes: Record<string, number>): Entries =>
  Object.entries(sizes).flatMap(([site, size]) =>
    Array.from({ length: size }, (_, i) => ({ id: `${site}/${i}`, site, scene: i % 3 })),
  );

const entries = fc.array(
  fc.record({
    id: fc.string(),
    site: fc.option(fc.constantFrom("a", "b", "c", "d", "e", "f")),
    scene: fc.option(fc.integer({ min: 0, max: 4 })),
  }),
  { minLength: 1, maxLength: 120 },
);
const how: fc.Arbitrary<Partitioner> = fc.oneof(
  fc.constant({ by: "site" as const }),
  fc.record({ by: fc.constant("iid" as const), seed: fc.nat() }),
  fc.record({ by: fc.constant("dirichlet" as const), seed: fc.nat(), alpha: fc.constantFrom(0.01, 0.3, 1, 100) }),
);

describe("partitioners", () => {
  test("every sample goes to exactly one client, every client gets one, and again the same", () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 12 }), how, (all, wanted, by) => {
        const clients = Math.min(wanted, all.length);
        const parts = partitionIndices(all, clients, by);
        expect(parts).toHaveLength(clients);
        expect(parts.every((part) => part.length > 0)).toBe(true);
        expect(parts.flat().sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
        expect(partitionIndices(all, clients, by)).toEqual(parts);
      }),
      { numRuns: 300 },
    );
  });

  test("more clients than samples is refused", () => {
    expect(() => partitionIndices(ofSites({ a: 2 }), 3, { by: "site" })).toThrow(
      expect.objectContaining({ code: "USAGE", message: "2 samples cannot be split over 3 clients" }),
    );
  });

  test("alpha must be positive", () => {
    for (const alpha of [0, -1, Number.NaN, Infinity])
      expect(() => partitionIndices(ofSites({ a: 9 }), 3, { by: "dirichlet", seed: 1, alpha })).toThrow(/alpha/);
  });
});

describe("by site", () => {
  const sizes = (sites: Record<string, number>, clients: number): [string, number][] => {
    const all = ofSites(sites);
    return partitionIndices(all, clients, { by: "site" }).map((part) => [
      [...new Set(part.map((i) => all[i]?.site))].join("+"),
      part.length,
    ]);
  };

  test("as many sites as clients: one each", () => {
    expect(sizes({ a: 10, b: 3, c: 7 }, 3)).toEqual([
      ["a", 10],
      ["b", 3],
      ["c", 7],
    ]);
  });

  test("a large site is cut, a small one stays whole", () => {
    expect(sizes({ a: 5, b: 36 }, 4)).toEqual([
      ["a", 5],
      ["b", 12],
      ["b", 12],
      ["b", 12],
    ]);
  });

  test("small sites are merged so that a large one can be cut", () => {
    expect(sizes({ a: 90, b: 2, c: 3 }, 3)).toEqual([
      ["a", 45],
      ["a", 45],
      ["b+c", 5],
    ]);
    expect(sizes({ a: 1, b: 1, c: 1, d: 30, e: 1 }, 2)).toEqual([
      ["a+b+c+e", 4],
      ["d", 30],
    ]);
  });

  test("one recording without sites is cut contiguously", () => {
    const all = ofSites({ x: 10 }).map((entry) => ({ ...entry, site: null }));
    expect(partitionIndices(all, 4, { by: "site" })).toEqual([
      [0, 1],
      [2, 3, 4],
      [5, 6],
      [7, 8, 9],
    ]);
  });

  test("a client's pieces of a site are contiguous there", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 2, max: 8 }),
        (a, b, n) => {
          const all = ofSites({ a, b });
          for (const part of partitionIndices(all, Math.min(n, a + b), { by: "site" }))
            for (const site of ["a", "b"]) {
              const held = part.filter((i) => all[i]?.site === site);
              if (held.length > 0) expect((held.at(-1) as number) - (held[0] as number)).toBe(held.length - 1);
            }
        },
      ),
    );
  });

  test("views load the samples they name", async () => {
    const all = ofSites({ a: 3, b: 2 });
    const dataset: Dataset = { size: 5, entries: all, load: async (i) => ({ id: all[i]?.id }) as unknown as Sample };
    const [first, second] = partition(dataset, 2, { by: "site" });
    expect([first?.size, second?.size]).toEqual([3, 2]);
    expect((await second?.load(1))?.id).toBe("b/1");
    expect(second?.entries.map(({ id }) => id)).toEqual(["b/0", "b/1"]);
  });
});

describe("label skew", () => {
  const all = Array.from({ length: 600 }, (_, i) => ({ id: `${i}`, site: null, scene: i % 6 }));
  /** Mean over clients of the largest class share. */
  const skew = (alpha: number): number => {
    const parts = partitionIndices(all, 6, { by: "dirichlet", seed: 4, alpha });
    const largest = parts.map((part) => {
      const counts = [0, 1, 2, 3, 4, 5].map((c) => part.filter((i) => all[i]?.scene === c).length);
      return Math.max(...counts) / part.length;
    });
    return largest.reduce((a, b) => a + b) / largest.length;
  };

  test("a small alpha gives each client few classes, a large one all of them", () => {
    expect(skew(0.05)).toBeGreaterThan(0.6);
    expect(skew(1000)).toBeLessThan(0.25);
  });

  test("Dirichlet shares have the mean and variance of the distribution", () => {
    const rng = Rng.of("dirichlet");
    for (const alpha of [0.1, 1, 7]) {
      const draws = Array.from({ length: 4000 }, () => dirichlet(rng, alpha, 4)[0] as number);
      const mean = draws.reduce((a, b) => a + b) / draws.length;
      const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
      // Beta(alpha, 3 alpha).
      const expected = (0.25 * 0.75) / (4 * alpha + 1);
      expect(Math.abs(mean - 0.25)).toBeLessThan(4 * Math.sqrt(expected / draws.length));
      expect(variance / expected).toBeGreaterThan(0.85);
      expect(variance / expected).toBeLessThan(1.15);
    }
  });
});
