/**
 * The scale-and-shift-invariant loss of MiDaS (Ranftl et al. 2020, eq. 5-11): prediction and truth each less their
 * median and divided by their mean deviation from it; the absolute errors but the largest fifth, and half the gradient
 * of the error at four scales. Every reading counts as one, however much of its cell it fills.
 */
import { add, type DepthLoss, neighbours, readings } from "./map.ts";

const KEPT = 0.8;
const GRADIENT_SHARE = 0.5;
const SCALES = [1, 2, 4, 8] as const;
/** A flatter map counts as this flat, so that its gradient stays bounded. */
const LEAST_DEVIATION = 1e-2;
const LEAST_READINGS = 4;

export const scaleAndShiftInvariant: DepthLoss = (maps) => {
  const cells = readings(maps);
  if (cells.length < LEAST_READINGS) return null;
  const own = standardise(maps.prediction, cells);
  const truth = standardise(maps.target, cells);
  const error = new Float64Array(maps.prediction.length);
  for (const i of cells) error[i] = (own.values[i] as number) - (truth.values[i] as number);

  const byError = new Float64Array(error.length);
  let value = 0;
  const sizes = sorted(cells, (i) => Math.abs(error[i] as number));
  let toKeep = Math.floor(KEPT * cells.length);
  const limit = sizes[toKeep - 1] as number;
  for (const i of cells) {
    const size = Math.abs(error[i] as number);
    if (size > limit || toKeep === 0) continue;
    toKeep--;
    value += size / (2 * cells.length);
    byError[i] = Math.sign(error[i] as number) / (2 * cells.length);
  }
  for (const step of SCALES) {
    let sampled = 0;
    for (const i of cells) if ((i % maps.width) % step === 0 && Math.floor(i / maps.width) % step === 0) sampled++;
    const share = GRADIENT_SHARE / Math.max(1, sampled);
    neighbours(maps, step, (from, to) => {
      const change = (error[to] as number) - (error[from] as number);
      value += share * Math.abs(change);
      add(byError, to, share * Math.sign(change));
      add(byError, from, -share * Math.sign(change));
    });
  }
  return { value, gradient: throughStandardise(maps.prediction, cells, own, byError) };
};

interface Standardised {
  /** Only the cells with a reading are set. */
  readonly values: Float64Array;
  /** Cell of the (lower) median. */
  readonly middle: number;
  readonly deviation: number;
  /** The deviation is the least allowed, and constant. */
  readonly flat: boolean;
}

function standardise(map: ArrayLike<number>, cells: readonly number[]): Standardised {
  const median = sorted(cells, (i) => map[i] as number)[(cells.length - 1) >> 1] as number;
  const middle = cells.find((i) => map[i] === median) as number;
  const mean = cells.reduce((sum, i) => sum + Math.abs((map[i] as number) - median), 0) / cells.length;
  const deviation = Math.max(mean, LEAST_DEVIATION);
  const values = new Float64Array(map.length);
  for (const i of cells) values[i] = ((map[i] as number) - median) / deviation;
  return { values, middle, deviation, flat: mean < LEAST_DEVIATION };
}

/** Typed arrays are sorted much faster than indices by a comparison. */
function sorted(cells: readonly number[], value: (cell: number) => number): Float64Array {
  return Float64Array.from(cells, value).sort();
}

/** From the derivative by the standardised values to that by the map. */
function throughStandardise(
  map: ArrayLike<number>,
  cells: readonly number[],
  { values, middle, deviation, flat }: Standardised,
  byValue: Float64Array,
): Float64Array {
  const gradient = new Float64Array(map.length);
  let byMedian = 0;
  let byDeviation = 0;
  for (const i of cells) {
    const by = byValue[i] as number;
    add(gradient, i, by / deviation);
    byMedian -= by / deviation;
    byDeviation -= (by * (values[i] as number)) / deviation;
  }
  if (!flat) {
    const median = map[middle] as number;
    for (const i of cells) {
      const side = Math.sign((map[i] as number) - median) / cells.length;
      add(gradient, i, byDeviation * side);
      byMedian -= byDeviation * side;
    }
  }
  add(gradient, middle, byMedian);
  return gradient;
}
