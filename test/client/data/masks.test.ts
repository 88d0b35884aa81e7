import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeRuns, type InstanceMask, paintMask } from "../../../client/data/masks.ts";

const fail = (why: string): never => {
  throw new Error(why);
};

/** Pixel by pixel: is its centre inside, by counting the edges a ray to the left crosses. */
function slowPolygon(polygon: readonly number[], width: number, height: number): number[] {
  const inside: number[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [px, py] = [x + 0.5, y + 0.5];
      let odd = false;
      for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
        const [xi, yi] = [polygon[i] as number, polygon[i + 1] as number];
        const [xj, yj] = [polygon[j] as number, polygon[j + 1] as number];
        if (yi <= py !== yj <= py && px >= xj + ((py - yj) / (yi - yj)) * (xi - xj)) odd = !odd;
      }
      inside.push(odd ? 1 : 0);
    }
  return inside;
}

/** COCO's letters for run lengths, as cocoapi's rleToString writes them. */
function letters(counts: readonly number[]): string {
  let text = "";
  for (const [i, count] of counts.entries()) {
    let value = i > 2 ? count - (counts[i - 2] as number) : count;
    let more = true;
    while (more) {
      let bits = value & 31;
      value >>= 5;
      more = (bits & 16) !== 0 ? value !== -1 : value !== 0;
      if (more) bits |= 32;
      text += String.fromCharCode(bits + 48);
    }
  }
  return text;
}

const paint = (mask: InstanceMask, width: number, height: number): number[] => {
  const target = new Uint8Array(width * height);
  paintMask(mask, target, width, height, 1, "a.png");
  return [...target];
};

describe("instance masks", () => {
  test("a polygon covers the pixels whose centres it holds", () => {
    // Quarter steps: centres at .5 are hit often, which is where edges decide.
    const corner = fc.integer({ min: -12, max: 60 }).map((quarter) => quarter / 4);
    fc.assert(
      fc.property(fc.array(corner, { minLength: 6, maxLength: 16 }), (numbers) => {
        const polygon = numbers.slice(0, numbers.length - (numbers.length % 2));
        expect(paint({ kind: "polygons", polygons: [polygon] }, 13, 11)).toEqual(slowPolygon(polygon, 13, 11));
      }),
      { numRuns: 500 },
    );
  });

  test("a rectangle has its own area, and parts of one mask are united", () => {
    const square = (x: number): number[] => [x, 1, x + 2, 1, x + 2, 3, x, 3];
    const painted = paint({ kind: "polygons", polygons: [square(1), square(2)] }, 6, 4);
    expect(painted.reduce((a, b) => a + b)).toBe(6);
  });

  test("run lengths go column by column, plain and in letters", () => {
    const runs = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(runs, (counts) => {
        expect(decodeRuns(letters(counts), fail)).toEqual(counts);
        const height = 7;
        const width = Math.ceil(counts.reduce((a, b) => a + b, 0) / height) || 1;
        const filled = [...counts];
        const rest = width * height - counts.reduce((a, b) => a + b, 0);
        if (filled.length % 2 === 1) filled[filled.length - 1] = (filled.at(-1) as number) + rest;
        else filled.push(rest);
        const columns = filled.flatMap((count, i) => Array.from({ length: count }, () => i % 2));
        const expected = Array.from(
          { length: width * height },
          (_, p) => columns[(p % width) * height + Math.floor(p / width)],
        );
        expect(paint({ kind: "runs", height, width, counts: filled }, width, height)).toEqual(expected);
        expect(paint({ kind: "runs", height, width, counts: letters(filled) }, width, height)).toEqual(expected);
      }),
    );
  });

  test.each<[string, InstanceMask]>([
    ["too short", { kind: "runs", height: 2, width: 2, counts: [1, 2] }],
    ["too long", { kind: "runs", height: 2, width: 2, counts: [1, 9] }],
    ["letters out of range", { kind: "runs", height: 2, width: 2, counts: "\u0001\u0002" }],
    ["letters cut off", { kind: "runs", height: 2, width: 2, counts: "PPP" }],
    ["of another size", { kind: "runs", height: 3, width: 2, counts: [6] }],
    ["a polygon of two corners", { kind: "polygons", polygons: [[0, 0, 1, 1]] }],
    ["a polygon with half a corner", { kind: "polygons", polygons: [[0, 0, 1, 1, 2, 0, 3]] }],
  ])("refused: %s", (_, mask) => {
    expect(() => paint(mask, 2, 2)).toThrow(expect.objectContaining({ code: "DATA_SEGMENTATION" }));
  });
});
