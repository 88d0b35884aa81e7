import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { corrupted, corruptedModality, SEVERITIES } from "../../../../models/preprocess/corruption/suite.ts";
import { type PreparedSample, prepareSample } from "../../../../models/preprocess/prepare.ts";
import type { Sample } from "../../../../models/preprocess/sample.ts";
import { TEXT_FEATURES } from "../../../../models/preprocess/text.ts";
import { CORRUPTIONS, type CorruptionName } from "../../../../shared/config/robustness.ts";
import { Rng } from "../../../../shared/rng/rng.ts";
import { squareSample, testConfig } from "../../synthetic-samples.ts";

const SIZE = [40, 56] as const;
const config = testConfig({ input: { size: SIZE } });
const prepared = (over: Partial<Sample> = {}, seed = 1): PreparedSample =>
  prepareSample({ ...squareSample("a", Rng.of(seed), SIZE[1], SIZE[0]), ...over }, config);
const corrupt = (sample: PreparedSample, name: CorruptionName, severity: number, seed: number | string = 3) =>
  corrupted(sample, name, severity, Rng.of(seed), "metric");

/** Mean change of a value of the picture, readings that are gone, words that are gone. */
function distance(clean: PreparedSample, seen: PreparedSample): number {
  const rgb = clean.rgb as Uint8Array;
  let sum = 0;
  for (const [i, value] of rgb.entries()) sum += Math.abs(value - ((seen.rgb as Uint8Array)[i] as number)) / rgb.length;
  const readings = ({ depth }: PreparedSample) => depth?.filter((value) => !Number.isNaN(value)).length ?? 0;
  return sum + (readings(clean) - readings(seen)) + (words(clean) - words(seen));
}
const words = ({ text }: PreparedSample) => text?.filter((id, i) => i % TEXT_FEATURES === 0 && id > 0).length ?? 0;

/** Pictures of any colours at all, with any depth. */
const anySample = fc
  .record({
    colours: fc.uint8Array({ minLength: 48, maxLength: 48 }),
    metres: fc.array(fc.double({ min: 0.3, max: 60, noNaN: true }), { minLength: 16, maxLength: 16 }),
    seed: fc.nat(),
  })
  .map(({ colours, metres, seed }) => {
    const [height, width] = SIZE;
    const block = (i: number) =>
      4 * Math.floor((4 * Math.floor(i / width)) / height) + Math.floor((4 * (i % width)) / width);
    const rgb = Uint8Array.from(
      { length: width * height * 3 },
      (_, i) => colours[3 * block(Math.floor(i / 3)) + (i % 3)] as number,
    );
    const values = Float32Array.from({ length: width * height }, (_, i) => metres[block(i)] as number);
    const valid = Uint8Array.from(values, (_, i) => (i % 7 === 0 ? 0 : 1));
    return { sample: prepared({ rgb, depth: { values, valid } }), seed };
  });

describe.each(CORRUPTIONS)("%s", (name) => {
  test("takes a picture the farther away the more severe it is", () => {
    fc.assert(
      fc.property(anySample, ({ sample, seed }) => {
        const far = [0, ...SEVERITIES].map((severity) => distance(sample, corrupt(sample, name, severity, seed)));
        expect(far[0]).toBe(0);
        // Fewer photons have less noise of their own: by less than a level, where a picture is black anyhow.
        const slack = name === "low-light" ? 0.5 : 1e-9;
        for (const i of SEVERITIES) expect(far[i]).toBeGreaterThanOrEqual((far[i - 1] as number) - slack);
      }),
      { numRuns: 10 },
    );
    const sample = prepared();
    const far = SEVERITIES.map((severity) => distance(sample, corrupt(sample, name, severity)));
    for (const i of [1, 2, 3, 4]) expect(far[i]).toBeGreaterThan(far[i - 1] as number);
    expect(far[0]).toBeGreaterThan(0);
  });

  test("is a function of its seed, and leaves the sample that it was given as it was", () => {
    const sample = prepared();
    const before = structuredClone(sample);
    const seen = corrupt(sample, name, 3);
    expect(seen).toEqual(corrupt(sample, name, 3));
    expect(sample).toEqual(before);
    const other = corrupt(sample, name, 3, "other");
    // Fog has nothing random where depth is known.
    if (name === "fog") expect(other).toEqual(seen);
    else expect(other).not.toEqual(seen);
  });

  test("keeps labels, geometry, padding, and every reading and word that is left", () => {
    const sample = prepared();
    for (const severity of [0.4, 2, 5]) {
      const seen = corrupt(sample, name, severity);
      for (const kept of ["id", "geometry", "segmentation", "boxes", "scene"] as const) {
        expect(seen[kept]).toBe(sample[kept]);
      }
      const { width, contentWidth, contentHeight } = sample.geometry;
      const padding = (seen.rgb as Uint8Array).filter((_, i) => {
        const pixel = Math.floor(i / 3);
        return pixel % width >= contentWidth || pixel / width >= contentHeight;
      });
      expect(Math.max(...padding)).toBe(0);
      const moved = seen.depth?.findIndex((value, i) => !Number.isNaN(value) && value !== sample.depth?.[i]) ?? -1;
      expect(moved).toBe(-1);
      expect(seen.text?.findIndex((id, i) => id !== 0 && id !== sample.text?.[i]) ?? -1).toBe(-1);
    }
  });

  test("does nothing to a sample that lacks what it works on", () => {
    const bare = prepared({ rgb: null, depth: null, captions: null });
    expect(corrupt(bare, name, 5)).toEqual(bare);
    expect(corrupt(prepared({ [corruptedModality(name)]: null, captions: null }), name, 2).rgb === null).toBe(
      corruptedModality(name) === "rgb",
    );
  });
});

describe("what the corruptions are", () => {
  const flat = (level: number, metres: (x: number) => number) => {
    const [height, width] = SIZE;
    const values = Float32Array.from({ length: width * height }, (_, i) => metres(i % width));
    return prepared({
      rgb: new Uint8Array(width * height * 3).fill(level),
      depth: { values, valid: new Uint8Array(values.length).fill(1) },
    });
  };

  test("low light: a stop less a severity in linear light, with the noise of the photons that are left", () => {
    const bright = flat(200, () => 2);
    for (const severity of SEVERITIES) {
      const { rgb } = corrupt(bright, "low-light", severity);
      const content = (rgb as Uint8Array).filter((_, i) => i % (64 * 3) < 56 * 3 && i < 40 * 64 * 3);
      const linear = Array.from(content, (value) => (value / 255) ** 2.2);
      const mean = linear.reduce((sum, value) => sum + value, 0) / linear.length;
      const wanted = (200 / 255) ** 2.2 / 2 ** severity;
      expect(mean / wanted).toBeGreaterThan(0.97);
      expect(mean / wanted).toBeLessThan(1.03);
      const deviation = Math.sqrt(linear.reduce((sum, value) => sum + (value - mean) ** 2, 0) / linear.length);
      const photons = Math.sqrt(2000 * wanted + 25) / 2000;
      expect(deviation / photons).toBeGreaterThan(0.93);
      expect(deviation / photons).toBeLessThan(1.15);
    }
  });

  test("noise has the deviation of ImageNet-C's", () => {
    const { rgb } = corrupt(
      flat(128, () => 2),
      "noise",
      1,
    );
    const content = [...(rgb as Uint8Array)].filter((value) => value > 0);
    const mean = content.reduce((sum, value) => sum + value, 0) / content.length;
    const deviation = Math.sqrt(content.reduce((sum, value) => sum + (value - mean) ** 2, 0) / content.length);
    expect(deviation / 255).toBeGreaterThan(0.077);
    expect(deviation / 255).toBeLessThan(0.083);
  });

  test("fog is Koschmieder's law: contrast falls by 5 % at the optical range, depth decides", () => {
    const sample = flat(50, (x) => (x < 28 ? 2 : 8));
    // Light to scatter: one row of white.
    (sample.rgb as Uint8Array).fill(255, 0, 56 * 3);
    const { rgb } = corrupt(sample, "fog", 5);
    const at = (x: number) => (rgb as Uint8Array)[(10 * 64 + x) * 3] as number;
    // The median distance is 2 m, the range 1.6 times that.
    const expected = (metres: number) => 255 - 205 * Math.exp((-2.996 * metres) / 3.2);
    expect(at(5)).toBe(Math.round(expected(2)));
    expect(at(50)).toBe(Math.round(expected(8)));
  });

  test("fog reads inverse depth the other way round, and does without depth", () => {
    const sample = prepared();
    const inverse = { ...sample, depth: (sample.depth as Float32Array).map((value) => 1 / value) };
    const near = (one: PreparedSample, kind: "relative" | "inverse") =>
      corrupted(one, "fog", 3, Rng.of(1), kind).rgb as Uint8Array;
    expect(near(inverse, "inverse")).not.toEqual(near(inverse, "relative"));
    const cloud = corrupt({ ...sample, depth: null }, "fog", 3, 1).rgb;
    expect(cloud).not.toEqual(corrupt({ ...sample, depth: null }, "fog", 3, 2).rgb);
  });

  test("occlusion hides as large a share as it says, of picture and depth alike", () => {
    const sample = flat(200, () => 2);
    const { rgb, depth } = corrupt(sample, "occlusion", 5);
    const [height, width] = SIZE;
    const hidden = (rgb as Uint8Array).filter((value, i) => i % 3 === 0 && value === 44).length;
    expect(hidden / (width * height)).toBeCloseTo(0.45, 2);
    for (const [pixel, value] of (depth as Float32Array).entries()) {
      if ((rgb as Uint8Array)[3 * pixel] === 44) expect(value).toBeNaN();
    }
  });

  test("no depth and no text: a fifth less a severity, at last nothing", () => {
    const sample = prepared({ captions: ["one two three four five six seven eight nine ten"] });
    expect(SEVERITIES.map((severity) => words(corrupt(sample, "no-text", severity)))).toEqual([8, 6, 4, 2, 0]);
    expect(corrupt(sample, "no-text", 5).text).toBeNull();
    expect(corrupt(sample, "no-depth", 5).depth).toBeNull();
    const full = flat(1, () => 1);
    const left = corrupt(full, "no-depth", 2).depth?.filter((value) => !Number.isNaN(value)).length;
    expect(left).toBe(Math.floor(40 * 56 * 0.6));
  });
});
