/**
 * Expected calibration error (Naeini et al. 2015; Guo et al. 2017): how far confidence and accuracy are apart, over 15
 * bins of equal width, weighed by how many fall into each. The bins are sums that can be added over clients.
 */

const CALIBRATION_BINS = 15;
/** Values of one bin: how many, how many right, and the sum of their confidence in units of 2^-20. */
const FIELDS = 3;
export const CALIBRATION_LENGTH = CALIBRATION_BINS * FIELDS;
const UNIT = 2 ** 20;

/**
 * @param bins [CALIBRATION_LENGTH]
 * @param confidence in [0, 1]; a bin holds its upper end
 */
export function addConfidence(bins: Float64Array, confidence: number, right: boolean): void {
  const bin = Math.min(CALIBRATION_BINS - 1, Math.max(0, Math.ceil(confidence * CALIBRATION_BINS) - 1)) * FIELDS;
  bins[bin] = (bins[bin] as number) + 1;
  if (right) bins[bin + 1] = (bins[bin + 1] as number) + 1;
  bins[bin + 2] = (bins[bin + 2] as number) + Math.round(confidence * UNIT);
}

export interface CalibrationBin {
  readonly count: number;
  readonly accuracy: number;
  readonly confidence: number;
}

/** The bins that hold anything, by rising confidence. */
export function calibrationBins(bins: ArrayLike<number>): CalibrationBin[] {
  const filled: CalibrationBin[] = [];
  for (let at = 0; at < bins.length; at += FIELDS) {
    const count = bins[at] as number;
    if (count === 0) continue;
    filled.push({
      count,
      accuracy: (bins[at + 1] as number) / count,
      confidence: (bins[at + 2] as number) / UNIT / count,
    });
  }
  return filled;
}

/** In [0, 1]; null when nothing was added. */
export function expectedCalibrationError(bins: ArrayLike<number>): number | null {
  const filled = calibrationBins(bins);
  const total = filled.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return null;
  return filled.reduce(
    (sum, { count, accuracy, confidence }) => sum + (count / total) * Math.abs(accuracy - confidence),
    0,
  );
}
