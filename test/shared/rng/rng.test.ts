import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { Rng } from "../../../shared/rng/rng.ts";

describe("Rng", () => {
  test("the same labels give the same stream, other labels another", () => {
    const draw = (rng: Rng) => Array.from({ length: 8 }, () => rng.uint32());
    expect(draw(Rng.of(7, "train", "a"))).toEqual(draw(Rng.of(7, "train", "a")));
    expect(draw(Rng.of(7, "train", "a"))).not.toEqual(draw(Rng.of(7, "train", "b")));
    expect(draw(Rng.of("7"))).not.toEqual(draw(Rng.of(7)));
  });

  test("a saved stream continues where it stopped", () => {
    const rng = Rng.of("x");
    rng.normal();
    const copy = Rng.restore(rng.save());
    expect(copy.uint32()).toBe(rng.uint32());
  });

  test("below(n) is always in range and shuffled keeps the items", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), fc.integer(), fc.array(fc.integer()), (n, seed, items) => {
        const rng = Rng.of(seed);
        const value = rng.below(n);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(n);
        expect(rng.shuffled(items).toSorted()).toEqual(items.toSorted());
      }),
    );
  });

  test("normal has mean 0 and variance 1", () => {
    const rng = Rng.of("normal");
    const draws = Array.from({ length: 20_000 }, () => rng.normal());
    const mean = draws.reduce((a, b) => a + b) / draws.length;
    const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });
});
