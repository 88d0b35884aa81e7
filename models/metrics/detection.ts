/**
 * Detection as counts that can be added up: per class, IoU threshold and score bin, how many detections hit and missed.
 * Matching is COCO's (coco/match.ts), over objects of all sizes.
 */
import type { Detection } from "../allulook4/decode.ts";
import type { Box } from "../preprocess/sample.ts";
import { boxOverlap, matchRegions, OUTCOME } from "./coco/match.ts";
import { IOU_THRESHOLDS, MOST_DETECTIONS } from "./coco/parameters.ts";
import { SCORE_BINS, slotValues, type StatisticsLayout } from "./statistics.ts";

export interface Match {
  readonly score: number;
  /** Per IoU threshold, values of OUTCOME. */
  readonly outcome: readonly number[];
}

/** Detections of one class in one picture, at most `limit`, by falling score. */
export function matchClass(
  detections: readonly Detection[],
  objects: readonly Box[],
  classIndex: number,
  limit = MOST_DETECTIONS,
): { matches: Match[]; positives: number } {
  const own = detections
    .filter((detection) => detection.classIndex === classIndex)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit);
  const truth = objects.filter((box) => box.classIndex === classIndex);
  const overlaps = Float64Array.from(own.flatMap((found) => truth.map((box) => boxOverlap(found, box, box.crowd))));
  const regions = truth.map(({ width, height, crowd }) => ({ area: width * height, crowd }));
  const areas = own.map(({ width, height }) => width * height);
  const { outcomes, positives } = matchRegions(areas, regions, overlaps, 0);
  const thresholds = IOU_THRESHOLDS.length;
  return {
    matches: own.map(({ score }, d) => ({
      score,
      outcome: [...outcomes.subarray(d * thresholds, (d + 1) * thresholds)],
    })),
    positives,
  };
}

/** Adds one picture's detections to the binned counts of the layout. */
export function addDetections(
  layout: StatisticsLayout,
  values: Float64Array,
  detections: readonly Detection[],
  objects: readonly Box[],
): void {
  const positives = slotValues(layout, values, "detectionPositives");
  const hits = slotValues(layout, values, "detectionTrue");
  const misses = slotValues(layout, values, "detectionFalse");
  for (let c = 0; c < positives.length; c++) {
    const result = matchClass(detections, objects, c);
    positives[c] = (positives[c] as number) + result.positives;
    for (const { score, outcome } of result.matches) {
      const bin = Math.min(SCORE_BINS - 1, Math.floor(score * SCORE_BINS));
      for (const [t, what] of outcome.entries()) {
        const at = (c * IOU_THRESHOLDS.length + t) * SCORE_BINS + bin;
        if (what === OUTCOME.hit) hits[at] = (hits[at] as number) + 1;
        else if (what === OUTCOME.miss) misses[at] = (misses[at] as number) + 1;
      }
    }
  }
}
