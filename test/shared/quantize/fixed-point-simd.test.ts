import { describe, expect, test } from "@jest/globals";
import { encodeCoordinates, fixedPoint } from "../../../shared/quantize/fixed-point.ts";
import { BLOCK_COORDINATES } from "../../../shared/quantize/fixed-point-simd.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { encodePlainly } from "../../reference/fixed-point.ts";

const fixed = fixedPoint({ wordBits: 32, cohortMax: 10, maxWeight: 64, coordinateBound: 1 });

describe("vectors of several blocks", () => {
  test.each([
    ["one short of a block", BLOCK_COORDINATES - 1],
    ["a block", BLOCK_COORDINATES],
    ["one more than two blocks", 2 * BLOCK_COORDINATES + 1],
    ["a part of sixteen", 3 * BLOCK_COORDINATES - 7],
  ])("%s agree with the slow twin", (_, length) => {
    const rng = Rng.of("fixed point", length);
    const delta = Float32Array.from({ length }, () => 2.5 * (rng.uniform() - 0.5));
    const out = new Uint32Array(length + 1).fill(7);
    const clipped = encodeCoordinates(fixed, delta, 5, 0.9, out);
    const slow = encodePlainly(delta, { ...fixed, wordBits: 32, factor: 0.9, weight: 5 });
    expect([...out]).toEqual([...slow.words, 7]);
    expect(clipped).toBe(slow.clipped);
    expect(clipped).toBeGreaterThan(0);
  });
});
