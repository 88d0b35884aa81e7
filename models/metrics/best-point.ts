/** The point of a precision-recall curve where F1 is highest: the confidence threshold one would choose. */

export interface OperatingPoint {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Detections of this score or more. */
  readonly score: number;
}

/**
 * @param scores falling; detections of equal score are taken together
 * @param hits true positives beside `scores`
 * @param misses false positives beside `scores`
 * @param positives objects in the ground truth, > 0
 * @returns null when nothing was hit
 */
export function bestPoint(
  scores: ArrayLike<number>,
  hits: ArrayLike<number>,
  misses: ArrayLike<number>,
  positives: number,
): OperatingPoint | null {
  let best: OperatingPoint | null = null;
  let right = 0;
  let wrong = 0;
  for (let i = 0; i < scores.length; i++) {
    right += hits[i] as number;
    wrong += misses[i] as number;
    const score = scores[i] as number;
    if (scores[i + 1] === score || right === 0) continue;
    const precision = right / (right + wrong);
    const recall = right / positives;
    const f1 = (2 * precision * recall) / (precision + recall);
    if (best === null || f1 > best.f1) best = { precision, recall, f1, score };
  }
  return best;
}
