/**
 * COCO's average precision: precision made monotone, read at 101 recalls (pycocotools, cocoeval.py, `accumulate`).
 * Detections come in groups of falling score; a group of one is a single detection, a larger one a score bin.
 */
import { RECALL_THRESHOLDS } from "./coco/parameters.ts";

/**
 * @param hits true positives per group, highest scores first
 * @param misses false positives per group
 * @param positives objects in the ground truth, > 0
 * @returns AP in [0, 1]
 */
export function averagePrecision(hits: ArrayLike<number>, misses: ArrayLike<number>, positives: number): number {
  return precisionAtRecalls(hits, misses, positives).reduce((sum, value) => sum + value, 0) / RECALL_THRESHOLDS.length;
}

/** The precision-recall curve behind {@link averagePrecision}: the best precision at each of the 101 recalls or beyond. */
export function precisionAtRecalls(hits: ArrayLike<number>, misses: ArrayLike<number>, positives: number): number[] {
  const groups = hits.length;
  const recall = new Float64Array(groups);
  const precision = new Float64Array(groups);
  let truePositives = 0;
  let falsePositives = 0;
  for (let i = 0; i < groups; i++) {
    truePositives += hits[i] as number;
    falsePositives += misses[i] as number;
    recall[i] = truePositives / positives;
    const detections = truePositives + falsePositives;
    precision[i] = detections === 0 ? 0 : truePositives / detections;
  }
  for (let i = groups - 2; i >= 0; i--) {
    precision[i] = Math.max(precision[i] as number, precision[i + 1] as number);
  }
  let at = 0;
  return RECALL_THRESHOLDS.map((wanted) => {
    while (at < groups && (recall[at] as number) < wanted) at++;
    return at === groups ? 0 : (precision[at] as number);
  });
}
