/**
 * Matching of detections to objects as COCO does it (pycocotools, cocoeval.py, `evaluateImg`): by falling score, each
 * detection takes the free object that it overlaps most. Crowds and objects outside the area range are ignore regions:
 * they may be matched, crowds any number of times, and count neither for nor against.
 */
import { AREA_RANGES, IOU_THRESHOLDS } from "./parameters.ts";

export interface TruthRegion {
  /** Pixels. */
  readonly area: number;
  readonly crowd: boolean;
}

/** What became of a detection at one IoU threshold. */
export const OUTCOME = { miss: 0, hit: 1, ignored: 2 } as const;

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** IoU of boxes; against a crowd, the share of the detection that lies in it (maskApi.c, `bbIou`). */
export function boxOverlap(detection: Rectangle, object: Rectangle, crowd: boolean): number {
  const across = Math.min(detection.width + detection.x, object.width + object.x) - Math.max(detection.x, object.x);
  const down = Math.min(detection.height + detection.y, object.height + object.y) - Math.max(detection.y, object.y);
  if (across <= 0 || down <= 0) return 0;
  const both = across * down;
  const area = detection.width * detection.height;
  return both / (crowd ? area : area + object.width * object.height - both);
}

/**
 * One class in one picture.
 *
 * @param areas of the detections in pixels, by falling score
 * @param overlaps [detection * objects.length + object]
 * @param range index into AREA_RANGES
 * @returns outcomes [detection * IOU_THRESHOLDS.length + threshold], and how many objects are to be found
 */
export function matchRegions(
  areas: readonly number[],
  objects: readonly TruthRegion[],
  overlaps: Float64Array,
  range: number,
): { outcomes: Uint8Array; positives: number } {
  const { from, to } = AREA_RANGES[range] as (typeof AREA_RANGES)[number];
  const outside = (area: number) => area < from || area > to;
  const ignored = objects.map(({ area, crowd }) => crowd || outside(area));
  // Ignore regions last: an object that counts is preferred to them.
  const order = objects.map((_, i) => i).toSorted((a, b) => Number(ignored[a]) - Number(ignored[b]));
  const thresholds = IOU_THRESHOLDS.length;
  const outcomes = new Uint8Array(areas.length * thresholds);
  const taken = new Uint8Array(objects.length);
  for (const [t, threshold] of IOU_THRESHOLDS.entries()) {
    taken.fill(0);
    for (let d = 0; d < areas.length; d++) {
      let best = Math.min(threshold, 1 - 1e-10);
      let match = -1;
      for (const g of order) {
        if (taken[g] === 1 && !(objects[g] as TruthRegion).crowd) continue;
        if (match >= 0 && !(ignored[match] as boolean) && (ignored[g] as boolean)) break;
        const overlap = overlaps[d * objects.length + g] as number;
        if (overlap < best) continue;
        best = overlap;
        match = g;
      }
      if (match >= 0) taken[match] = 1;
      const counts = match >= 0 ? !(ignored[match] as boolean) : !outside(areas[d] as number);
      outcomes[d * thresholds + t] = !counts ? OUTCOME.ignored : match >= 0 ? OUTCOME.hit : OUTCOME.miss;
    }
  }
  return { outcomes, positives: ignored.filter((ignore) => !ignore).length };
}
