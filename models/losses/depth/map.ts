/**
 * One picture's depth as the losses see it. They are computed in plain numbers, with their gradients by hand: the maps
 * are small, the formulas need medians, sorting and pairs, and no engine's rounding has a say.
 *
 * Cells without a reading (weight 0) enter no loss, neither directly nor through a neighbour, a window, a median or a
 * pair; their gradient is exactly 0.
 */
export interface DepthMaps {
  readonly width: number;
  readonly height: number;
  /** height * width, normalised depth (preprocess/depth.ts): logarithm of metres, or zero mean and unit deviation. */
  readonly prediction: ArrayLike<number>;
  readonly target: ArrayLike<number>;
  /** Share of the cell that has a reading, in [0, 1]. */
  readonly weight: ArrayLike<number>;
  /** height * width * 3 in [0, 1]: the picture in the map's size; null where the model did not see one. */
  readonly picture: ArrayLike<number> | null;
  /** Whether depth is the logarithm of metres. */
  readonly metric: boolean;
}

export interface DepthTerm {
  readonly value: number;
  /** height * width: derivative of the value by the prediction. */
  readonly gradient: Float64Array;
}

/** Null: the maps hold too few readings for this loss. */
export type DepthLoss = (maps: DepthMaps) => DepthTerm | null;

/** Cells with a reading. */
export function readings({ weight }: DepthMaps): number[] {
  const cells: number[] = [];
  for (let i = 0; i < weight.length; i++) if ((weight[i] as number) > 0) cells.push(i);
  return cells;
}

/** Calls `visit(from, to)` for cells `step` apart along a row or a column that both have a reading. */
export function neighbours(maps: DepthMaps, step: number, visit: (from: number, to: number) => void): void {
  const { width, height, weight } = maps;
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const from = y * width + x;
      if (!((weight[from] as number) > 0)) continue;
      if (x + step < width && (weight[from + step] as number) > 0) visit(from, from + step);
      const below = from + step * width;
      if (y + step < height && (weight[below] as number) > 0) visit(from, below);
    }
  }
}

/** Adds `amount` to one value of an array. */
export function add(values: Float64Array, at: number, amount: number): void {
  values[at] = (values[at] as number) + amount;
}
