/**
 * Masks as run lengths, column by column, starting with zeros (cocoapi, common/maskApi.c): overlap, area, and the
 * drawing of polygons exactly as COCO draws them.
 */
import type { Rectangle } from "./match.ts";

export interface RunLengths {
  readonly height: number;
  readonly width: number;
  /** Zeros, ones, zeros, …: together height * width. */
  readonly counts: readonly number[];
}

/** Pixels that are set. */
export function maskArea({ counts }: RunLengths): number {
  let area = 0;
  for (let i = 1; i < counts.length; i += 2) area += counts[i] as number;
  return area;
}

/** The smallest box around the mask (`rleToBbox`); a run that reaches over a column's end spans the whole height. */
export function maskBox({ counts, height }: RunLengths): Rectangle {
  let left = Number.POSITIVE_INFINITY;
  let top = Number.POSITIVE_INFINITY;
  let right = -1;
  let bottom = -1;
  let at = 0;
  for (const [i, run] of counts.entries()) {
    if (i % 2 === 1 && run > 0) {
      const first = Math.floor(at / height);
      const last = Math.floor((at + run - 1) / height);
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = Math.min(top, first === last ? at % height : 0);
      bottom = Math.max(bottom, first === last ? (at + run - 1) % height : height - 1);
    }
    at += run;
  }
  return right < 0
    ? { x: 0, y: 0, width: 0, height: 0 }
    : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/** IoU of two masks of one size; against a crowd, the share of the detection that lies in it (`rleIou`). */
export function maskOverlap(detection: RunLengths, object: RunLengths, crowd: boolean): number {
  if (detection.height !== object.height || detection.width !== object.width) return 0;
  let both = 0;
  walk(detection.counts, object.counts, (length, inFirst, inSecond) => {
    if (inFirst && inSecond) both += length;
  });
  if (both === 0) return 0;
  const area = maskArea(detection);
  return both / (crowd ? area : area + maskArea(object) - both);
}

/** The union of two masks of one size. */
export function uniteMasks(first: RunLengths, second: RunLengths): RunLengths {
  const counts: number[] = [0];
  walk(first.counts, second.counts, (length, inFirst, inSecond) => {
    const set = inFirst || inSecond;
    if (set !== (counts.length % 2 === 0)) counts.push(0);
    counts[counts.length - 1] = (counts.at(-1) as number) + length;
  });
  return { height: first.height, width: first.width, counts };
}

/** Calls `visit` for every stretch in which neither mask changes. */
function walk(
  first: readonly number[],
  second: readonly number[],
  visit: (length: number, inFirst: boolean, inSecond: boolean) => void,
): void {
  let a = 0;
  let b = 0;
  let leftA = first[0] ?? 0;
  let leftB = second[0] ?? 0;
  while (a < first.length && b < second.length) {
    const length = Math.min(leftA, leftB);
    if (length > 0) visit(length, a % 2 === 1, b % 2 === 1);
    leftA -= length;
    leftB -= length;
    if (leftA === 0) leftA = first[++a] ?? 0;
    if (leftB === 0) leftB = second[++b] ?? 0;
  }
}

/** Corners are drawn on a grid this many times finer. */
const FINE = 5;

/**
 * One polygon as COCO draws it (`rleFrPoly`): its outline on a finer grid, and from it, per column, where the mask
 * begins and ends.
 *
 * @param corners x, y, x, y, … in pixels
 */
export function polygonMask(corners: readonly number[], height: number, width: number): RunLengths {
  const points = corners.length >> 1;
  // Truncated towards zero, as a C cast does.
  const x = Array.from({ length: points + 1 }, (_, j) =>
    Math.trunc(FINE * (corners[(j % points) * 2] as number) + 0.5),
  );
  const y = Array.from({ length: points + 1 }, (_, j) =>
    Math.trunc(FINE * (corners[(j % points) * 2 + 1] as number) + 0.5),
  );
  const starts: number[] = [];
  let lastU: number | null = null;
  let lastV = 0;
  const visit = (u: number, v: number) => {
    if (lastU !== null && u !== lastU) addCrossing(starts, u, v, lastU, lastV, height, width);
    lastU = u;
    lastV = v;
  };
  for (let j = 0; j < points; j++) {
    drawEdge(x[j] as number, y[j] as number, x[j + 1] as number, y[j + 1] as number, visit);
  }
  starts.push(height * width);
  starts.sort((a, b) => a - b);
  const steps = starts.map((start, j) => start - (starts[j - 1] ?? 0));
  const counts: number[] = [steps[0] as number];
  for (let j = 1; j < steps.length;) {
    if ((steps[j] as number) > 0) counts.push(steps[j++] as number);
    else {
      // Two crossings at one place cancel out.
      j++;
      if (j < steps.length) counts[counts.length - 1] = (counts.at(-1) as number) + (steps[j++] as number);
    }
  }
  return { height, width, counts };
}

/** Visits the fine grid's points along one edge, from its first corner to its second. */
function drawEdge(x0: number, y0: number, x1: number, y1: number, visit: (u: number, v: number) => void): void {
  const dx = Math.abs(x1 - x0);
  const dy = Math.abs(y1 - y0);
  const wide = dx >= dy;
  const flipped = wide ? x0 > x1 : y0 > y1;
  const [xs, ys, xe, ye] = flipped ? [x1, y1, x0, y0] : [x0, y0, x1, y1];
  const length = wide ? dx : dy;
  if (length === 0) return visit(xs, ys);
  const slope = wide ? (ye - ys) / dx : (xe - xs) / dy;
  for (let d = 0; d <= length; d++) {
    const t = flipped ? length - d : d;
    if (wide) visit(t + xs, Math.trunc(ys + slope * t + 0.5));
    else visit(Math.trunc(xs + slope * t + 0.5), t + ys);
  }
}

/** Where the outline crosses the centre line of a pixel column, a run begins or ends. */
function addCrossing(
  starts: number[],
  u: number,
  v: number,
  lastU: number,
  lastV: number,
  height: number,
  width: number,
): void {
  const column = ((u < lastU ? u : u - 1) + 0.5) / FINE - 0.5;
  if (Math.floor(column) !== column || column < 0 || column > width - 1) return;
  const row = (Math.min(v, lastV) + 0.5) / FINE - 0.5;
  starts.push(column * height + Math.ceil(Math.min(height, Math.max(0, row))));
}
