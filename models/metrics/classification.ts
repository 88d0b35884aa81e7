/**
 * What a confusion matrix says of every class, one against the rest, and on average. Means are macro averages over the
 * classes that occur in truth or prediction; a ratio of nothing is 0 there (scikit-learn's zero_division=0), null here.
 */

export interface ClassCounts {
  /** Members in the truth, in the prediction, and in both. */
  readonly truth: number;
  readonly predicted: number;
  readonly hits: number;
  /** hits / (truth + predicted - hits) */
  readonly iou: number | null;
  /** 2 hits / (truth + predicted): Dice and F1 are the same number. */
  readonly f1: number | null;
  readonly precision: number | null;
  /** Recall, or sensitivity. */
  readonly recall: number | null;
  /** Of what is not of this class, the share not taken for it. */
  readonly specificity: number | null;
}

/** @param confusion [classes, classes], rows are the truth */
export function classCounts(confusion: ArrayLike<number>, classes: number): ClassCounts[] {
  const truth = new Float64Array(classes);
  const predicted = new Float64Array(classes);
  let total = 0;
  for (let row = 0; row < classes; row++) {
    for (let column = 0; column < classes; column++) {
      const count = confusion[row * classes + column] as number;
      truth[row] = (truth[row] as number) + count;
      predicted[column] = (predicted[column] as number) + count;
      total += count;
    }
  }
  return Array.from({ length: classes }, (_, c) => {
    const own = truth[c] as number;
    const said = predicted[c] as number;
    const hits = confusion[c * classes + c] as number;
    return {
      truth: own,
      predicted: said,
      hits,
      iou: ratio(hits, own + said - hits),
      f1: ratio(2 * hits, own + said),
      precision: ratio(hits, said),
      recall: ratio(hits, own),
      specificity: ratio(total - own - said + hits, total - own),
    };
  });
}

/** Means over the classes that occur in truth or prediction, and pixel accuracy; null without a labelled pixel. */
export function segmentationMetrics(
  confusion: ArrayLike<number>,
  classes: number,
): {
  mIoU: number;
  dice: number;
  pixelAccuracy: number;
  precision: number;
  recall: number;
  f1: number;
} | null {
  const counts = classCounts(confusion, classes);
  const present = counts.filter(({ truth, predicted }) => truth + predicted > 0);
  const total = present.reduce((sum, { truth }) => sum + truth, 0);
  if (total === 0) return null;
  const f1 = mean(present.map((one) => one.f1 ?? 0));
  return {
    mIoU: mean(present.map(({ iou }) => iou ?? 0)),
    dice: f1,
    pixelAccuracy: present.reduce((sum, { hits }) => sum + hits, 0) / total,
    precision: mean(present.map(({ precision }) => precision ?? 0)),
    recall: mean(present.map(({ recall }) => recall ?? 0)),
    f1,
  };
}

/**
 * Of the most probable class. Sensitivity and specificity are means over the classes that occur in the truth and are
 * not all of it; left out where there is none.
 */
export function sceneMetrics(confusion: ArrayLike<number>, classes: number): Record<string, number> | null {
  const counts = classCounts(confusion, classes);
  const present = counts.filter(({ truth, predicted }) => truth + predicted > 0);
  const total = present.reduce((sum, { truth }) => sum + truth, 0);
  if (total === 0) return null;
  const judged = counts.filter(({ truth, specificity }) => truth > 0 && specificity !== null);
  return {
    accuracy: present.reduce((sum, { hits }) => sum + hits, 0) / total,
    precision: mean(present.map(({ precision }) => precision ?? 0)),
    f1: mean(present.map((one) => one.f1 ?? 0)),
    ...(judged.length > 0 && {
      sensitivity: mean(judged.map(({ recall }) => recall ?? 0)),
      specificity: mean(judged.map(({ specificity }) => specificity ?? 0)),
    }),
  };
}

function ratio(above: number, below: number): number | null {
  return below === 0 ? null : above / below;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
