/**
 * COCO instance masks as pixels: polygons, and run lengths (column by column, starting with zeros) both plain and in
 * COCO's compressed letters (cocoapi, common/maskApi.c).
 */
import { CodedError } from "../../shared/errors.ts";

export type InstanceMask =
  | { readonly kind: "polygons"; readonly polygons: readonly (readonly number[])[] }
  | {
      readonly kind: "runs";
      readonly height: number;
      readonly width: number;
      readonly counts: string | readonly number[];
    };

/**
 * Writes `value` into every pixel of `target` (height * width) that the mask covers and returns how many there were.
 * A pixel belongs to a polygon when its centre does (even-odd); several polygons of one mask are united.
 * Errors: DATA_SEGMENTATION naming the file.
 */
export function paintMask(
  mask: InstanceMask,
  target: Uint8Array,
  width: number,
  height: number,
  value: number,
  file: string,
): number {
  const fail = (why: string): CodedError =>
    new CodedError("DATA_SEGMENTATION", `${file}: ${why}`, { file, reason: why });
  if (mask.kind === "runs") {
    if (mask.width !== width || mask.height !== height)
      throw fail(`a mask of ${mask.width} x ${mask.height} for a picture of ${width} x ${height}`);
    return paintRuns(
      typeof mask.counts === "string" ? decodeRuns(mask.counts, fail) : mask.counts,
      target,
      width,
      height,
      value,
      fail,
    );
  }
  let painted = 0;
  for (const polygon of mask.polygons) {
    if (polygon.length % 2 !== 0 || polygon.length < 6)
      throw fail(`a polygon of ${polygon.length} numbers: expected x, y of at least three corners`);
    painted += paintPolygon(polygon, target, width, height, value);
  }
  return painted;
}

function paintRuns(
  counts: readonly number[],
  target: Uint8Array,
  width: number,
  height: number,
  value: number,
  fail: (why: string) => CodedError,
): number {
  let at = 0;
  let painted = 0;
  for (let run = 0; run < counts.length; run++) {
    const length = counts[run] ?? 0;
    if (at + length > width * height) throw fail("run lengths reach beyond the picture");
    if (run % 2 === 1) {
      for (let i = at; i < at + length; i++) target[(i % height) * width + Math.floor(i / height)] = value;
      painted += length;
    }
    at += length;
  }
  if (at !== width * height) throw fail(`run lengths cover ${at} of ${width * height} pixels`);
  return painted;
}

/** Compressed run lengths: five bits a letter from "0" on, the sixth says "more"; from the third on, differences. */
export function decodeRuns(letters: string, fail: (why: string) => CodedError): number[] {
  const counts: number[] = [];
  let at = 0;
  while (at < letters.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const letter = letters.charCodeAt(at++) - 48;
      if (!(letter >= 0 && letter < 64) || shift > 25) throw fail("damaged run lengths");
      value |= (letter & 31) << shift;
      shift += 5;
      more = (letter & 32) !== 0;
      if (!more && (letter & 16) !== 0) value |= -1 << shift;
    }
    if (counts.length > 2) value += counts[counts.length - 2] ?? 0;
    if (value < 0) throw fail("damaged run lengths (negative)");
    counts.push(value);
  }
  return counts;
}

function paintPolygon(
  polygon: readonly number[],
  target: Uint8Array,
  width: number,
  height: number,
  value: number,
): number {
  const corners = polygon.length / 2;
  let painted = 0;
  const crossings: number[] = [];
  for (let y = 0; y < height; y++) {
    const center = y + 0.5;
    crossings.length = 0;
    for (let i = 0; i < corners; i++) {
      const j = i + 1 === corners ? 0 : i + 1;
      const x0 = polygon[2 * i] ?? 0;
      const y0 = polygon[2 * i + 1] ?? 0;
      const x1 = polygon[2 * j] ?? 0;
      const y1 = polygon[2 * j + 1] ?? 0;
      if (y0 <= center !== y1 <= center) crossings.push(x0 + ((center - y0) / (y1 - y0)) * (x1 - x0));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil((crossings[i] ?? 0) - 0.5));
      const to = Math.min(width, Math.ceil((crossings[i + 1] ?? 0) - 0.5));
      for (let x = from; x < to; x++) target[y * width + x] = value;
      painted += Math.max(0, to - from);
    }
  }
  return painted;
}
