/**
 * Rules that look at one coordinate of all updates at a time; each gets its values sorted.
 * Median, trimmed mean: Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates".
 * Bulyan's second step: El Mhamdi et al. 2018.
 */

/** From the sorted values of one coordinate to one value. */
export type CoordinateRule = (sorted: Float64Array) => number;

/** Of an even number of values the mean of the two in the middle. */
export const medianOf: CoordinateRule = (sorted) => {
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
};

/** The mean without the f least and the f largest. */
export function trimmedMean(attackers: number): CoordinateRule {
  return (sorted) => meanBetween(sorted, attackers, sorted.length - attackers);
}

/** The mean of the n - 2f values closest to the median. */
export function closestToMedian(attackers: number): CoordinateRule {
  return (sorted) => {
    const middle = medianOf(sorted);
    let from = 0;
    let to = sorted.length;
    while (to - from > sorted.length - 2 * attackers) {
      if (middle - (sorted[from] as number) > (sorted[to - 1] as number) - middle) from++;
      else to--;
    }
    return meanBetween(sorted, from, to);
  };
}

function meanBetween(sorted: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += sorted[i] as number;
  return sum / (to - from);
}

/** Applies a rule to every coordinate of a block; `out` is as long as each of the updates' parts. */
export function eachCoordinate(rule: CoordinateRule, block: readonly Float32Array[], out: Float64Array): void {
  const values = new Float64Array(block.length);
  for (let k = 0; k < out.length; k++) {
    for (let i = 0; i < block.length; i++) values[i] = (block[i] as Float32Array)[k] as number;
    sortInPlace(values);
    out[k] = rule(values);
  }
}

/** Few values are sorted faster by insertion than by a call into the engine. */
const FEW = 48;

function sortInPlace(values: Float64Array): void {
  if (values.length > FEW) {
    values.sort();
    return;
  }
  for (let i = 1; i < values.length; i++) {
    const value = values[i] as number;
    let at = i - 1;
    while (at >= 0 && (values[at] as number) > value) {
      values[at + 1] = values[at] as number;
      at--;
    }
    values[at + 1] = value;
  }
}
