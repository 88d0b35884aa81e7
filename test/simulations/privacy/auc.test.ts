import { expect, test } from "@jest/globals";
import { Rng } from "../../../shared/rng/rng.ts";
import { aucOf } from "../../../simulations/privacy/auc.ts";

test("one for groups apart, a half for equal ones, ties half", () => {
  expect(aucOf([3, 4], [1, 2]).auc).toBe(1);
  expect(aucOf([1, 2], [3, 4]).auc).toBe(0);
  expect(aucOf([1, 1], [1, 1])).toEqual({ auc: 0.5, interval: [0.5, 0.5] });
  expect(aucOf([2, 3], [1, 2]).auc).toBe(0.875);
});

test("the interval holds the truth about as often as it says", () => {
  const rng = Rng.of("auc");
  // Normal scores one apart: AUC = Phi(1 / sqrt 2) = 0.7602.
  const held = Array.from({ length: 200 }, () => {
    const draw = (mean: number) => Array.from({ length: 40 }, () => mean + rng.normal());
    const [low, high] = aucOf(draw(1), draw(0)).interval;
    return low <= 0.7602 && 0.7602 <= high;
  });
  const share = held.filter(Boolean).length / held.length;
  expect(share).toBeGreaterThan(0.88);
});
