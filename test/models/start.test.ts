import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { startValues } from "../../models/start.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { layoutOf } from "../../shared/params/layout.ts";
import type { BaseParams } from "../../shared/release/base.ts";

const labelsOf = (over: Partial<Labels>): Labels => ({
  detection: [],
  segmentation: [],
  scene: [],
  depth: { kind: "none" },
  ...over,
});

function trained(tensors: { name: string; shape: number[] }[], labels: Partial<Labels>): BaseParams {
  const layout = layoutOf(tensors);
  return { layout, params: Float32Array.from({ length: layout.length }, (_, i) => i + 1), labels: labelsOf(labels) };
}

const classes = fc.uniqueArray(fc.constantFrom("sky", "road", "tree", "car", "person", "pole"), { minLength: 1 });

describe("what a model begins with", () => {
  test("tensors of the same name and shape, and nothing of others", () => {
    const start = trained([{ name: "stem/kernel", shape: [2, 3] }], {});
    const initial = new Float32Array(6).fill(-1);
    const take = (name: string, shape: number[]) => [...startValues(start, labelsOf({}), name, shape, initial)];
    expect(take("stem/kernel", [2, 3])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(take("stem/kernel", [3, 2])).toEqual([...initial]);
    expect(take("other/kernel", [2, 3])).toEqual([...initial]);
  });

  test("of the last layers, the columns of classes that both name", () => {
    fc.assert(
      fc.property(
        classes,
        classes,
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(1, 4),
        (old, now, inputs, parts) => {
          const name = "head_segmentation_logits/linearKernel";
          const start = trained([{ name, shape: [1, 1, inputs, parts * old.length] }], { segmentation: old });
          const capital = now.map((one) => one.toUpperCase());
          const initial = Float32Array.from({ length: inputs * parts * now.length }, (_, i) => -1 - i);
          const labels = labelsOf({ segmentation: capital });
          const shape = [1, 1, inputs, parts * now.length];
          const values = startValues(start, labels, name, shape, initial);
          for (let row = 0; row < inputs; row++)
            for (let part = 0; part < parts; part++)
              for (const [k, one] of now.entries()) {
                const at = (row * parts + part) * now.length + k;
                const from = old.indexOf(one);
                const expected = from < 0 ? initial[at] : start.params[(row * parts + part) * old.length + from];
                expect(values[at]).toBe(expected);
              }
        },
      ),
    );
  });

  test.each([
    ["metric", "relative", true],
    ["metric", "inverse", false],
    ["inverse", "inverse", true],
    ["relative", "metric", true],
  ] as const)("the last layer of %s depth serves %s depth: %s", (from, to, taken) => {
    const name = "head_depth_values/linearKernel";
    const start = trained([{ name, shape: [1, 1, 2, 1] }], { depth: { kind: from } });
    const initial = new Float32Array(2);
    const values = startValues(start, labelsOf({ depth: { kind: to } }), name, [1, 1, 2, 1], initial);
    expect([...values]).toEqual(taken ? [1, 2] : [0, 0]);
  });
});
