/** Labels follow the geometry of any view, colours never touch a label, and what is turned off draws nothing. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { holePixels, plainView, randomView, type View } from "../../../models/preprocess/augment.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN, renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample, type PreparedSample } from "../../../models/preprocess/prepare.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import { tokenise } from "../../../models/preprocess/text.ts";
import { augmentation as schema, type Augmentation } from "../../../shared/config/augmentation.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { squareSample, testConfig } from "../synthetic-samples.ts";

const SIDE = 64;
const labels = {
  detection: ["square"],
  segmentation: Array.from({ length: 16 }, (_, i) => `class-${i}`),
  depth: { kind: "relative" },
};
const config = testConfig({ labels });
const FINE = { segmentation: 1, depth: 1 };
const USE = { input: true, target: true };

const augmentations: fc.Arbitrary<Augmentation> = fc
  .record({
    zoom: fc.tuple(fc.double({ min: 0.5, max: 1, noNaN: true }), fc.double({ min: 1, max: 2, noNaN: true })),
    aspect: fc.double({ min: 1, max: 1.5, noNaN: true }),
    flip: fc.record({ probability: fc.constantFrom(0, 0.5, 1) }),
    saturation: fc.constantFrom(0, 0.5),
    tint: fc.constantFrom(0, 0.3),
    cutout: fc.record({ probability: fc.constantFrom(0, 1), count: fc.integer({ min: 1, max: 3 }) }),
  })
  .map((raw) => schema.parse(raw));

/** Every pixel's colour, class and depth name its own place. */
function placed(): PreparedSample {
  const at = (fill: (x: number, y: number) => number) =>
    Array.from({ length: SIDE * SIDE }, (_, i) => fill(i % SIDE, Math.floor(i / SIDE)));
  const sample: Sample = {
    ...squareSample("a", Rng.of(1), SIDE, SIDE),
    rgb: Uint8Array.from(at((x, y) => x * SIDE + y).flatMap((_, i) => [i % SIDE, Math.floor(i / SIDE), 7])),
    segmentation: Uint8Array.from(at((x, y) => (x + 3 * y) % 16)),
    depth: { values: Float32Array.from(at((x, y) => x + y / 100)), valid: new Uint8Array(SIDE * SIDE).fill(1) },
  };
  return prepareSample(sample, config, schema.parse({}).flip.words);
}

const plainLight = { contrast: 1, brightness: 0, saturation: 1, tint: [0, 0, 0] } as const;
/** The red or green byte behind a normalised value. */
const byteOf = (value: number) => Math.round((value * PIXEL_DEVIATION + PIXEL_MEAN) * 255);

function viewOf(sample: PreparedSample, augmentation: Augmentation, seed: number, over: Partial<View> = {}): View {
  return { ...randomView(sample, Rng.of("view", seed), USE, { ...config.training, augmentation }), ...over };
}

describe("every view", () => {
  const sample = placed();
  const everything = { rgb: true, depth: false, text: false };

  test("takes colour, class and depth of a pixel from the same place", () => {
    fc.assert(
      fc.property(augmentations, fc.nat(), (augmentation, seed) => {
        const view = viewOf(sample, augmentation, seed, { ...plainLight, cuts: [], holes: [], present: everything });
        const batch = renderBatch([sample], [view], config, FINE);
        const { mean, deviation } = batch.depthScales[0] ?? { mean: 0, deviation: 1 };
        const wrong: number[] = [];
        for (let i = 0; i < SIDE * SIDE; i++) {
          const shares = batch.targets.segmentation.subarray(i * 16, i * 16 + 16);
          const shown = view.columns[i % SIDE] !== -1 && view.rows[Math.floor(i / SIDE)] !== -1 ? 1 : 0;
          const [x, y] = [byteOf(batch.rgb[i * 3] as number), byteOf(batch.rgb[i * 3 + 1] as number)];
          const depth = (batch.targets.depth[i] as number) * deviation + mean;
          const right =
            shares.reduce((sum, share) => sum + share, 0) === shown &&
            batch.targets.depthWeight[i] === shown &&
            (shown === 0 || (shares[(x + 3 * y) % 16] === 1 && Math.abs(depth - x - y / 100) < 0.005));
          if (!right) wrong.push(i);
        }
        expect(wrong).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test("puts a box where its pixels go", () => {
    fc.assert(
      fc.property(augmentations, fc.nat(), (augmentation, seed) => {
        const { columns, rows, x, y } = viewOf(sample, augmentation, seed);
        const furthest = (table: Int32Array, { scale, shift }: View["x"]) =>
          Math.max(
            ...[...table.entries()].map(([to, from]) =>
              from < 0 ? 0 : Math.abs((from + 0.5) * scale + shift - to - 0.5) / Math.abs(scale),
            ),
          );
        // At most half a pixel of the source, as large as it is shown.
        expect(furthest(columns, x)).toBeLessThanOrEqual(0.5001);
        expect(furthest(rows, y)).toBeLessThanOrEqual(0.5001);
      }),
      { numRuns: 100 },
    );
  });

  test("keeps square and box together", () => {
    const square = prepareSample(squareSample("a", Rng.of(3), SIDE, SIDE), testConfig());
    const two = testConfig();
    fc.assert(
      fc.property(augmentations, fc.nat(), (augmentation, seed) => {
        const view = viewOf(square, augmentation, seed, { holes: [] });
        const { cells, segmentation } = renderBatch([square], [view], two, FINE).targets;
        if (cells.cell.length === 0) return;
        let [inside, outside] = [0, 0];
        for (let i = 0; i < SIDE * SIDE; i++) {
          if (segmentation[i * 2 + 1] !== 1) continue;
          const [u, v] = [(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5];
          const within =
            u > (cells.left[0] as number) - 1 &&
            u < (cells.right[0] as number) + 1 &&
            v > (cells.top[0] as number) - 1 &&
            v < (cells.bottom[0] as number) + 1;
          if (within) inside++;
          else outside++;
        }
        expect(outside).toBe(0);
        const width = (cells.right[0] as number) - (cells.left[0] as number);
        const height = (cells.bottom[0] as number) - (cells.top[0] as number);
        expect(inside).toBeGreaterThan((width - 2) * (height - 2));
      }),
      { numRuns: 40 },
    );
  });

  test("changes no label by its colours and cuts", () => {
    fc.assert(
      fc.property(augmentations, fc.nat(), (augmentation, seed) => {
        const view = viewOf(sample, augmentation, seed);
        const { depthGuide: _seen, ...changed } = renderBatch([sample], [view], config).targets;
        const { depthGuide: _plain, ...plain } = renderBatch(
          [sample],
          [{ ...view, ...plainLight, cuts: [] }],
          config,
        ).targets;
        expect(changed).toEqual(plain);
      }),
      { numRuns: 20 },
    );
  });
});

describe("single changes", () => {
  const sample = placed();

  test("a mirrored picture is the picture read from the right, and its captions speak of the other side", () => {
    const mirror = schema.parse({ zoom: [1, 1], flip: { probability: 1 } });
    const view = viewOf(sample, mirror, 1, {
      ...plainLight,
      holes: [],
      present: { rgb: true, depth: true, text: true },
    });
    expect([...view.columns]).toEqual(Array.from({ length: SIDE }, (_, i) => SIDE - 1 - i));
    const captioned = { ...squareSample("a", Rng.of(1)), captions: ["A square LEFT of the right wall"] };
    const prepared = prepareSample(captioned, config, mirror.flip.words);
    expect(prepared.text).toEqual(tokenise("a square left of the right wall"));
    expect([...renderBatch([prepared], [view], config).text]).toEqual([...tokenise("a square right of the left wall")]);
    expect(prepareSample(captioned, config).mirroredText).toBeNull();
  });

  test("text is withheld from a mirrored picture whose mirrored text is not known", () => {
    const mirror = schema.parse({ flip: { probability: 1 } });
    const prepared = prepareSample(squareSample("a", Rng.of(1)), config);
    for (let seed = 0; seed < 10; seed++) expect(viewOf(prepared, mirror, seed).present.text).toBe(false);
  });

  test("a cut is blank, and as large as it says", () => {
    const view = { ...plainView(sample), cuts: [{ top: 0.25, left: 0.5, bottom: 0.75, right: 1 }] };
    const { top, bottom, left, right } = holePixels(view.cuts[0] as (typeof view.cuts)[number], sample.geometry);
    const { rgb } = renderBatch([sample], [view], config);
    const whole = renderBatch([sample], [plainView(sample)], config).rgb;
    const expected = whole.map((value, i) => {
      const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
      return x >= left && x < right && y >= top && y < bottom ? 0 : value;
    });
    expect(Buffer.from(rgb.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
  });

  test("without saturation a picture is grey, with a tint its mean moves by it", () => {
    const channels = (over: Partial<View>) => renderBatch([sample], [{ ...plainView(sample), ...over }], config).rgb;
    const grey = channels({ saturation: 0 });
    expect(grey.every((value, i) => Math.abs(value - (grey[i - (i % 3)] as number)) < 1e-5)).toBe(true);
    const tinted = channels({ tint: [0.5, 0, -0.25] });
    const plain = channels({});
    const moved = (i: number) => (tinted[i] as number) - (plain[i] as number) - ([0.5, 0, -0.25][i % 3] as number);
    expect(plain.every((_, i) => Math.abs(moved(i)) < 1e-5)).toBe(true);
  });

  test("what is turned off draws nothing", () => {
    const drawn = (raw: object) => {
      const rng = Rng.of(5);
      const view = randomView(sample, rng, USE, { ...config.training, augmentation: schema.parse(raw) });
      return { state: rng.save(), view };
    };
    const usual = drawn({});
    expect(usual.view).toMatchObject({ saturation: 1, tint: [0, 0, 0], cuts: [] });
    expect(usual.view.x.scale).toBeGreaterThan(0);
    expect(drawn({ flip: { probability: 0, words: [] }, cutout: { probability: 0, count: 9 } })).toEqual(usual);
    for (const raw of [{ aspect: 1.2 }, { flip: { probability: 0.1 } }, { saturation: 0.1 }, { tint: 0.1 }]) {
      expect(drawn(raw).state).not.toEqual(usual.state);
    }
  });
});
