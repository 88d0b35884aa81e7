/**
 * Detection targets at stride 4: a Gaussian of heat around every object's centre, and the cells near the centre that
 * learn the box, each weighted by its heat (TTFNet, Liu et al. 2020). The weights of one object sum to 1.
 */
import type { View } from "./augment.ts";
import type { Geometry, PreparedBox } from "./prepare.ts";

/** Cells whose box is regressed, as columns of one table; the box in model pixels. */
export interface BoxCells {
  readonly sample: number[];
  /** Row-major index of the cell. */
  readonly cell: number[];
  readonly left: number[];
  readonly top: number[];
  readonly right: number[];
  readonly bottom: number[];
  readonly weight: number[];
}

const STRIDE = 4;
/** Share of the box that the Gaussian covers. */
const EXTENT = 0.54;
/** An object of which less is left after augmentation is no target. */
const VISIBLE = 0.3;

/** Adds the boxes of one sample to the batch's heat [B, H/4, W/4, classes] and cells. */
export function drawBoxes(
  boxes: readonly PreparedBox[],
  view: Pick<View, "x" | "y">,
  geometry: Geometry,
  sample: number,
  heat: Float32Array,
  classes: number,
  cells: BoxCells,
): void {
  const columns = geometry.width / STRIDE;
  const rows = geometry.height / STRIDE;
  for (const box of boxes) {
    const seen = through(box, view, geometry);
    if (seen === null) continue;
    const centreX = (seen.left + seen.right) / 2 / STRIDE - 0.5;
    const centreY = (seen.top + seen.bottom) / 2 / STRIDE - 0.5;
    const middleX = Math.min(columns - 1, Math.max(0, Math.round(centreX)));
    const middleY = Math.min(rows - 1, Math.max(0, Math.round(centreY)));
    const radiusX = Math.floor((EXTENT * (seen.right - seen.left)) / STRIDE / 2);
    const radiusY = Math.floor((EXTENT * (seen.bottom - seen.top)) / STRIDE / 2);
    const sigmaX = (2 * radiusX + 1) / 6;
    const sigmaY = (2 * radiusY + 1) / 6;
    const first = cells.cell.length;
    let total = 0;
    for (let y = Math.max(0, middleY - radiusY); y <= Math.min(rows - 1, middleY + radiusY); y++) {
      for (let x = Math.max(0, middleX - radiusX); x <= Math.min(columns - 1, middleX + radiusX); x++) {
        const value = Math.exp(-((x - middleX) ** 2 / (2 * sigmaX ** 2) + (y - middleY) ** 2 / (2 * sigmaY ** 2)));
        const cell = y * columns + x;
        const at = (sample * rows * columns + cell) * classes + box.classIndex;
        heat[at] = Math.max(heat[at] as number, value);
        cells.sample.push(sample);
        cells.cell.push(cell);
        cells.left.push(seen.left);
        cells.top.push(seen.top);
        cells.right.push(seen.right);
        cells.bottom.push(seen.bottom);
        cells.weight.push(value);
        total += value;
      }
    }
    for (let i = first; i < cells.weight.length; i++) cells.weight[i] = (cells.weight[i] as number) / total;
  }
}

/** The box as the view shows it, clipped; null when too little is left. */
function through(box: PreparedBox, view: Pick<View, "x" | "y">, geometry: Geometry): PreparedBox | null {
  const ends = [box.left, box.right].map((x) => x * view.x.scale + view.x.shift);
  const [left, right] = [Math.min(...ends), Math.max(...ends)];
  const top = box.top * view.y.scale + view.y.shift;
  const bottom = box.bottom * view.y.scale + view.y.shift;
  const area = (right - left) * (bottom - top);
  const clipped = {
    classIndex: box.classIndex,
    left: Math.max(0, left),
    right: Math.min(geometry.contentWidth, right),
    top: Math.max(0, top),
    bottom: Math.min(geometry.contentHeight, bottom),
  };
  const visible = Math.max(0, clipped.right - clipped.left) * Math.max(0, clipped.bottom - clipped.top);
  return area > 0 && visible >= VISIBLE * area ? clipped : null;
}
