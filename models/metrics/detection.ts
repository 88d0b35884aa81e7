/**
 * Matching of detections to objects as COCO does it (pycocotools, cocoeval.py): per class and IoU threshold, by falling
 * score, each detection takes the free object it overlaps most; crowds match any number and count for nothing.
 */
import type { Detection } from "../allulook4/decode.ts";
import type { Box } from "../preprocess/sample.ts";
import { averagePrecision } from "./average-precision.ts";
import { IOU_THRESHOLDS, SCORE_BINS, slotValues, type StatisticsLayout } from "./statistics.ts";

export interface Match {
  readonly score: number;
  /** Per IoU threshold: 1 hit, 0 miss, -1 matched a crowd. */
  readonly outcome: readonly number[];
}

/** Detections of one class in one picture, at most `limit`, by falling score. */
export function matchClass(
  detections: readonly Detection[],
  objects: readonly Box[],
  classIndex: number,
  limit = 100,
): { matches: Match[]; positives: number } {
  const own = detections
    .filter((detection) => detection.classIndex === classIndex)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit);
  // Crowds last: a real object is preferred to them.
  const truth = objects
    .filter((box) => box.classIndex === classIndex)
    .toSorted((a, b) => Number(a.crowd) - Number(b.crowd));
  const overlaps = own.map((detection) => truth.map((box) => crowdOverlap(detection, box)));
  const outcomes = own.map(() => [] as number[]);
  for (const threshold of IOU_THRESHOLDS) {
    const taken = new Set<number>();
    for (const [d, row] of overlaps.entries()) {
      let best = Math.min(threshold, 1 - 1e-10);
      let match = -1;
      for (const [t, value] of row.entries()) {
        const crowd = (truth[t] as Box).crowd;
        if (taken.has(t) && !crowd) continue;
        if (match >= 0 && !(truth[match] as Box).crowd && crowd) break;
        if (value < best) continue;
        best = value;
        match = t;
      }
      if (match >= 0) taken.add(match);
      (outcomes[d] as number[]).push(match < 0 ? 0 : (truth[match] as Box).crowd ? -1 : 1);
    }
  }
  return {
    matches: own.map((detection, d) => ({ score: detection.score, outcome: outcomes[d] as number[] })),
    positives: truth.filter((box) => !box.crowd).length,
  };
}

/** IoU; against a crowd, the share of the detection that lies in it. */
function crowdOverlap(detection: Detection, box: Box): number {
  const across = Math.min(detection.x + detection.width, box.x + box.width) - Math.max(detection.x, box.x);
  const down = Math.min(detection.y + detection.height, box.y + box.height) - Math.max(detection.y, box.y);
  if (across <= 0 || down <= 0) return 0;
  const both = across * down;
  const area = detection.width * detection.height;
  return both / (box.crowd ? area : area + box.width * box.height - both);
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
      for (const [t, hit] of outcome.entries()) {
        const at = (c * IOU_THRESHOLDS.length + t) * SCORE_BINS + bin;
        if (hit === 1) hits[at] = (hits[at] as number) + 1;
        else if (hit === 0) misses[at] = (misses[at] as number) + 1;
      }
    }
  }
}

/** Collects the detections of a dataset and computes COCO's AP without bins. */
export class DetectionScorer {
  readonly #classes: number;
  readonly #matches: Match[][];
  readonly #positives: number[];

  constructor(classes: number) {
    this.#classes = classes;
    this.#matches = Array.from({ length: classes }, () => []);
    this.#positives = Array.from({ length: classes }, () => 0);
  }

  add(detections: readonly Detection[], objects: readonly Box[]): void {
    for (let c = 0; c < this.#classes; c++) {
      const result = matchClass(detections, objects, c);
      (this.#matches[c] as Match[]).push(...result.matches);
      this.#positives[c] = (this.#positives[c] as number) + result.positives;
    }
  }

  /** mAP over classes with objects and the ten thresholds, and AP at .50 and .75; null when there is no object. */
  result(): { mAP: number; AP50: number; AP75: number } | null {
    const sums = new Float64Array(IOU_THRESHOLDS.length);
    let present = 0;
    for (let c = 0; c < this.#classes; c++) {
      const positives = this.#positives[c] as number;
      if (positives === 0) continue;
      present++;
      const ordered = (this.#matches[c] as Match[]).toSorted((a, b) => b.score - a.score);
      for (let t = 0; t < sums.length; t++) {
        const outcomes = ordered.map((match) => match.outcome[t] as number);
        const ap = averagePrecision(
          outcomes.map((outcome) => (outcome === 1 ? 1 : 0)),
          outcomes.map((outcome) => (outcome === 0 ? 1 : 0)),
          positives,
        );
        sums[t] = (sums[t] as number) + ap;
      }
    }
    if (present === 0) return null;
    const mAP = sums.reduce((sum, value) => sum + value, 0) / sums.length / present;
    return { mAP, AP50: (sums[0] as number) / present, AP75: (sums[5] as number) / present };
  }
}
