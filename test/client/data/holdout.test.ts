import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { splitHoldout } from "../../../client/data/holdout.ts";

const entry = fc.record({
  id: fc.string(),
  site: fc.constantFrom(null, "a", "b"),
  scene: fc.constantFrom(null, 0, 1, 2),
});
const settings = fc.record({
  holdout: fc.double({ min: 0.01, max: 0.99, noNaN: true }),
  split: fc.constantFrom("auto" as const, "contiguous" as const, "stratified" as const),
});

describe("held-out samples", () => {
  test("both parts are disjoint, complete, ascending, of the size asked for, and the same again", () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 60 }), settings, (entries, how) => {
        const { train, evaluation } = splitHoldout(entries, how, 3, "c");
        const all = [...train, ...evaluation].sort((a, b) => a - b);
        expect(all).toEqual(entries.map((_, i) => i));
        expect([...train]).toEqual([...train].sort((a, b) => a - b));
        const wanted = Math.min(entries.length - 1, Math.max(1, Math.round(entries.length * how.holdout)));
        expect(evaluation).toHaveLength(wanted);
        expect(train.length).toBeGreaterThan(0);
        expect(splitHoldout(entries, how, 3, "c")).toEqual({ train, evaluation });
      }),
    );
  });

  test("contiguous keeps the end of every site", () => {
    const entries = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, site: i < 10 ? "a" : "b", scene: null }));
    expect(splitHoldout(entries, { holdout: 0.2, split: "contiguous" }, 1, "c").evaluation).toEqual([8, 9, 18, 19]);
  });

  test("stratified keeps a share of every class, another one for another client", () => {
    const entries = Array.from({ length: 30 }, (_, i) => ({ id: `${i}`, site: null, scene: Math.floor(i / 10) }));
    const split = (client: string) =>
      splitHoldout(entries, { holdout: 0.2, split: "stratified" }, 1, client).evaluation;
    expect([0, 1, 2].map((c) => split("c").filter((i) => entries[i]?.scene === c).length)).toEqual([2, 2, 2]);
    expect(split("c")).not.toEqual(split("d"));
  });

  test.each([
    ["stratified", { site: null, scene: 1 }],
    ["contiguous", { site: "s", scene: 1 }],
    ["contiguous", { site: null, scene: null }],
  ] as const)("auto is %s for samples such as %j", (split, sample) => {
    const entries = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, ...sample }));
    const kept = (how: "auto" | "stratified" | "contiguous") =>
      splitHoldout(entries, { holdout: 0.2, split: how }, 1, "c").evaluation;
    expect(kept("auto")).toEqual(kept(split));
    expect(kept("stratified")).not.toEqual(kept("contiguous"));
  });
});
