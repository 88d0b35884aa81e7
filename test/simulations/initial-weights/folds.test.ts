import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { folds, wilson } from "../../../simulations/initial-weights/folds.ts";

describe("cross-validation", () => {
  test("holds every picture out once, trains on all others, and keeps the classes' shares", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 24, maxLength: 80 }),
        fc.integer({ min: 2, max: 5 }),
        (scenes, count) => {
          const clients = 3;
          const made = folds(scenes, count, clients, 7, "data");
          const held = made.map((fold) =>
            fold.clients.flatMap(({ parts, split }) => split.evaluation.map((at) => parts[0]?.indices?.[at] as number)),
          );
          const used = made.map((fold) =>
            fold.clients.flatMap(({ parts, split }) => split.train.map((at) => parts[0]?.indices?.[at] as number)),
          );
          expect(held.flat().toSorted((a, b) => a - b)).toEqual(scenes.map((_, index) => index));
          for (const [i, fold] of made.entries()) {
            expect(fold.size).toBe(held[i]?.length);
            expect([...(held[i] ?? []), ...(used[i] ?? [])].toSorted((a, b) => a - b)).toEqual(
              scenes.map((_, index) => index),
            );
            for (const scene of [0, 1, 2]) {
              const all = scenes.filter((one) => one === scene).length;
              const here = held[i]?.filter((index) => scenes[index] === scene).length ?? 0;
              expect(Math.abs(here - all / count)).toBeLessThan(1);
            }
          }
        },
      ),
    );
  });

  test("gives shares Wilson's interval", () => {
    // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for (const [hits, all, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const) {
      expect(wilson(hits, all)[0]).toBeCloseTo(low, 4);
      expect(wilson(hits, all)[1]).toBeCloseTo(high, 4);
    }
  });
});
