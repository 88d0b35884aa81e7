import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeDepth, depthRule, resizeNearest, toDepthMap } from "../../../client/data/depth.ts";
import { gray, picture } from "../../fakes/dataset-folder.ts";
import { floatTiff } from "../../reference/tiff.ts";

describe("depth maps", () => {
  test("16-bit PNG gives its raw numbers", async () => {
    const raw = Uint16Array.from([0, 1, 256, 65_535]);
    expect((await decodeDepth(await gray(raw, 2, 2), "d.png")).values).toEqual(raw);
  });

  test("TIFF of floats gives its numbers", async () => {
    const { width, height, values } = await decodeDepth(floatTiff(2, 1, [1.25, 3000.5]), "d.tiff");
    expect([width, height, ...values]).toEqual([2, 1, 1.25, 3000.5]);
  });

  test.each([
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
    ["minus infinity", Number.NEGATIVE_INFINITY],
  ])("%s is refused, with its place", async (_, value) => {
    await expect(decodeDepth(floatTiff(2, 2, [1, 1, 1, value]), "d.tiff")).rejects.toMatchObject({
      code: "DATA_DEPTH",
      message: expect.stringMatching(/d\.tiff: .*(NaN|Infinity) at x 1, y 1/),
    });
  });

  test("8 bits, colour, JPEG and a cut TIFF are refused by name", async () => {
    const files: [string, Buffer][] = [
      ["8-bit gray", await gray(new Uint8Array(4), 2, 2)],
      ["8-bit RGB", await picture(2, 2)],
      ["not a PNG", await picture(8, 8, "jpeg")],
      [
        "",
        floatTiff(
          8,
          8,
          Array.from({ length: 64 }, () => 1),
        ).subarray(0, 200),
      ],
    ];
    for (const [why, bytes] of files)
      await expect(decodeDepth(bytes, "d.png")).rejects.toMatchObject({
        code: "DATA_DEPTH",
        message: expect.stringContaining(why),
        details: { file: "d.png" },
      });
  });

  test("resampling takes the pixel under the centre and invents no value", () => {
    const side = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(side, side, side, side, (w, h, width, height) => {
        const from = { width: w, height: h, values: Uint16Array.from({ length: w * h }, (_, i) => i + 1) };
        const to = resizeNearest(from, width, height);
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++) {
            const sx = Math.floor(((x + 0.5) * w) / width);
            const sy = Math.floor(((y + 0.5) * h) / height);
            expect(to.values[y * width + x]).toBe(sy * w + sx + 1);
          }
      }),
    );
  });

  test("kinds: what can become what", () => {
    const metric = { kind: "metric", metersPerUnit: 0.001, invalid: [] } as const;
    const relative = { kind: "relative", metersPerUnit: null, invalid: [] } as const;
    const inverse = { kind: "inverse", metersPerUnit: 0.01, invalid: [] } as const;
    const disparity = { kind: "inverse", metersPerUnit: null, invalid: [] } as const;
    const value = (source: Parameters<typeof depthRule>[0], wanted: Parameters<typeof depthRule>[1]) => {
      const rule = depthRule(source, wanted);
      if (!rule.usable) return null;
      return toDepthMap({ width: 1, height: 1, values: Uint16Array.of(50) }, [], rule).values[0];
    };
    const f = Math.fround;
    expect([
      value(metric, "metric"),
      value(metric, "relative"),
      value(metric, "inverse"),
      value(metric, "none"),
    ]).toEqual([f(0.05), f(0.05), f(20), f(0.05)]);
    expect([
      value(relative, "metric"),
      value(relative, "relative"),
      value(relative, "inverse"),
      value(relative, "none"),
    ]).toEqual([null, 50, null, 50]);
    expect([value(inverse, "metric"), value(inverse, "relative"), value(inverse, "inverse")]).toEqual([2, 2, 0.5]);
    expect([value(disparity, "metric"), value(disparity, "relative"), value(disparity, "inverse")]).toEqual([
      null,
      f(0.02),
      50,
    ]);
  });

  test("invalid readings, and zeros that have no reciprocal, are marked and stay 0", () => {
    const plane = { width: 4, height: 1, values: Uint16Array.of(0, 7, 65_535, 4) };
    const map = toDepthMap(plane, [65_535], { usable: true, scale: 1, reciprocal: true });
    expect([...map.valid]).toEqual([0, 1, 0, 1]);
    expect([...map.values]).toEqual([0, Math.fround(1 / 7), 0, 0.25]);
    expect([...toDepthMap(plane, [65_535], { usable: true, scale: 1, reciprocal: false }).valid]).toEqual([1, 1, 0, 1]);
  });
});
