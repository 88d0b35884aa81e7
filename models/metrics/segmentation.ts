/** Counting pixels for segmentation. */
import { IGNORE_CLASS } from "../preprocess/sample.ts";

/**
 * Adds one picture to a confusion matrix.
 *
 * @param confusion [classes, classes], rows are the truth
 */
export function addConfusion(confusion: Float64Array, classes: number, truth: Uint8Array, predicted: Uint8Array): void {
  for (let i = 0; i < truth.length; i++) {
    const label = truth[i] as number;
    if (label === IGNORE_CLASS) continue;
    const at = label * classes + (predicted[i] as number);
    confusion[at] = (confusion[at] as number) + 1;
  }
}
