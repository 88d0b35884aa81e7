/**
 * What corruptions work on: the picture inside a prepared sample's padding, and how far away things are. A corruption
 * returns new colours, never moves a pixel, and draws the same numbers whatever its severity, so that one picture at
 * two severities differs by the severity alone.
 */
import type { Labels } from "../../../shared/config/federation.ts";
import type { Rng } from "../../../shared/rng/rng.ts";
import type { PreparedSample } from "../prepare.ts";

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** height * width * 3 */
  readonly rgb: Uint8Array;
  /** height * width: distance as a multiple of the picture's median distance; null where no depth is known at all. */
  readonly distance: Float32Array | null;
}

/** New colours, height * width * 3; `severity` in (0, 5]. */
export type Corruption = (picture: Picture, severity: number, rng: Rng) => Uint8Array;

/** A parameter between those of the whole severities 1 to 5; `clean` is severity 0. */
export function atSeverity(table: readonly [number, number, number, number, number], clean: number, severity: number) {
  const low = Math.min(4, Math.floor(severity));
  const from = low === 0 ? clean : (table[low - 1] as number);
  return from + (severity - low) * ((table[low] as number) - from);
}

/** The picture of a sample that has one. */
export function pictureOf(sample: PreparedSample, kind: Labels["depth"]["kind"]): Picture {
  const { geometry, depth } = sample;
  const { contentWidth: width, contentHeight: height } = geometry;
  const rgb = new Uint8Array(width * height * 3);
  const source = sample.rgb as Uint8Array;
  for (let y = 0; y < height; y++) {
    const from = y * geometry.width * 3;
    rgb.set(source.subarray(from, from + width * 3), y * width * 3);
  }
  if (depth === null) return { width, height, rgb, distance: null };
  const readings = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    readings.set(depth.subarray(y * geometry.width, y * geometry.width + width), y * width);
  }
  return { width, height, rgb, distance: relativeDistance(readings, width, kind) };
}

/** The sample with other colours inside its padding. */
export function withColours(sample: PreparedSample, { width, height }: Picture, rgb: Uint8Array): PreparedSample {
  const out = (sample.rgb as Uint8Array).slice();
  for (let y = 0; y < height; y++) {
    out.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), y * sample.geometry.width * 3);
  }
  return { ...sample, rgb: out };
}

/**
 * Metric depth over its median. Relative and inverse depth know neither scale nor shift: their range becomes 0.25 to
 * 1.75. Where there is no reading, the nearest one to the left counts, else to the right, else 1.
 */
function relativeDistance(prepared: Float32Array, width: number, kind: Labels["depth"]["kind"]): Float32Array | null {
  const sorted = prepared.filter((value) => !Number.isNaN(value)).toSorted();
  if (sorted.length === 0) return null;
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number;
  const [near, middle, far] = [at(0.02), at(0.5), at(0.98)];
  const range = far > near ? far - near : 1;
  const out = prepared.map((value) => {
    if (kind === "metric") return Math.exp(value - middle);
    const share = Math.min(1, Math.max(0, (value - near) / range));
    return 0.25 + 1.5 * (kind === "inverse" ? 1 - share : share);
  });
  for (let start = 0; start < out.length; start += width) fillRow(out.subarray(start, start + width));
  return out;
}

function fillRow(row: Float32Array): void {
  let last = row.find((value) => !Number.isNaN(value)) ?? 1;
  for (const [x, value] of row.entries()) {
    if (Number.isNaN(value)) row[x] = last;
    else last = value;
  }
}

/** Colour of the light that haze and drops scatter: in each channel what one pixel in a hundred exceeds. */
export function airlight({ rgb }: Picture): [number, number, number] {
  const counts = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)] as const;
  for (const [i, value] of rgb.entries()) {
    const channel = counts[(i % 3) as 0 | 1 | 2];
    channel[value] = (channel[value] as number) + 1;
  }
  const brightest = (channel: Uint32Array): number => {
    let left = rgb.length / 300;
    for (let value = 255; value > 0; value--) {
      left -= channel[value] as number;
      if (left < 0) return value;
    }
    return 0;
  };
  return [brightest(counts[0]), brightest(counts[1]), brightest(counts[2])];
}

/** Mixes `share(pixel)` of a colour into every pixel. */
export function blended(
  { rgb }: Picture,
  colour: readonly [number, number, number],
  share: (pixel: number) => number,
): Uint8Array {
  const out = new Uint8Array(rgb.length);
  for (let pixel = 0, i = 0; i < rgb.length; pixel++) {
    const part = share(pixel);
    for (const value of colour) {
      const own = rgb[i] as number;
      out[i++] = Math.round(own + part * (value - own));
    }
  }
  return out;
}
