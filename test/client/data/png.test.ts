import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodePngPlane, MAX_PIXELS, readPng } from "../../../client/data/png.ts";
import { isCoded } from "../../../shared/errors.ts";
import { gray } from "../../fakes/dataset-folder.ts";
import { chunk, type PngPlan, writePng } from "../../reference/png.ts";

const decode = (bytes: Buffer) => decodePngPlane(readPng(bytes, "a.png", "DATA_DEPTH"), "a.png", "DATA_DEPTH");

const plan: fc.Arbitrary<PngPlan> = fc
  .record({
    width: fc.integer({ min: 1, max: 19 }),
    height: fc.integer({ min: 1, max: 9 }),
    bits: fc.constantFrom(1, 2, 4, 8, 16) as fc.Arbitrary<PngPlan["bits"]>,
    palette: fc.boolean(),
  })
  .chain(({ width, height, bits, palette }) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      bits: fc.constant(bits),
      palette: fc.constant(palette && bits <= 8),
      filters: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: height, maxLength: height }),
      values: fc.array(fc.integer({ min: 0, max: 2 ** bits - 1 }), {
        minLength: width * height,
        maxLength: width * height,
      }),
    }),
  );

describe("PNG planes", () => {
  test("every bit depth, filter and palette gives back the numbers written", () => {
    fc.assert(
      fc.property(plan, (written) => {
        const plane = decode(writePng(written));
        expect([plane.width, plane.height]).toEqual([written.width, written.height]);
        expect([...plane.values]).toEqual(written.values);
        expect(plane.values).toBeInstanceOf(written.bits === 16 ? Uint16Array : Uint8Array);
      }),
      { numRuns: 300 },
    );
  });

  test("what libvips writes comes back exactly", async () => {
    const values = Uint16Array.from({ length: 37 * 21 }, (_, i) => (i * 8191) % 65_536);
    expect(decode(await gray(values, 37, 21)).values).toEqual(values);
    const bytes = Uint8Array.from({ length: 37 * 21 }, (_, i) => (i * 31) % 256);
    expect(decode(await gray(bytes, 37, 21)).values).toEqual(bytes);
  });

  test("a PNG cut anywhere is an error that names the file", async () => {
    const bytes = await gray(new Uint16Array(64).fill(700), 8, 8);
    for (let length = 0; length < bytes.length; length++) {
      const error = thrownBy(() => decode(bytes.subarray(0, length)));
      expect(isCoded(error, "DATA_DEPTH") && error.details["file"] === "a.png").toBe(true);
    }
  });

  test("a flipped bit anywhere is an error", async () => {
    const bytes = await gray(
      Uint8Array.from({ length: 64 }, (_, i) => i),
      8,
      8,
    );
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(isCoded(thrownBy(() => decode(flipped)))).toBe(true);
    }
  });

  test("a size beyond the limit is refused before anything is decompressed", () => {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(100_000, 0);
    header.writeUInt32BE(100_000, 4);
    header[8] = 16;
    const bomb = Buffer.concat([writePng(SMALL).subarray(0, 8), chunk("IHDR", header), chunk("IEND", Buffer.alloc(0))]);
    expect(() => decode(bomb)).toThrow(new RegExp(`100000 x 100000 is more than ${MAX_PIXELS} pixels`));
  });

  test("more or fewer rows than the header says are an error", () => {
    for (const height of [1, 3]) {
      const bytes = writePng(SMALL);
      const header = Buffer.from(bytes.subarray(16, 29));
      header.writeUInt32BE(height, 4);
      const wrong = Buffer.concat([bytes.subarray(0, 8), chunk("IHDR", header), bytes.subarray(33)]);
      expect(() => decode(wrong)).toThrow(/damaged PNG/);
    }
  });
});

const SMALL: PngPlan = { width: 2, height: 2, bits: 8, palette: false, filters: [0, 4], values: [1, 2, 3, 4] };

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}
