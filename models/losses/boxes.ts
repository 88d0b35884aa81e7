/** How four predicted numbers mean a box: logarithms of the distances from the cell's centre to the four sides. */

/** A distance is exp(value) times this many pixels. */
const SIDE_UNIT = 16;
/** Logarithms are clipped here. */
export const SIDE_LIMIT = 5;

export type Rectangle = readonly [left: number, top: number, right: number, bottom: number];

/** Pixels from a predicted logarithm, which is bounded so that no exponential overflows. */
export function sideLength(logarithm: number): number {
  return SIDE_UNIT * Math.exp(Math.min(SIDE_LIMIT, Math.max(-SIDE_LIMIT, logarithm)));
}

/** The box around the point (x, y) whose side logarithms are `sides[at..at + 3]`: left, top, right, bottom. */
export function boxAt(sides: ArrayLike<number>, at: number, x: number, y: number): Rectangle {
  const side = (i: number) => sideLength(sides[at + i] as number);
  return [x - side(0), y - side(1), x + side(2), y + side(3)];
}
