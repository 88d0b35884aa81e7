/** Maps over a picture in cells: what attributions are shown as, and what is taken away cell by cell to test them. */
import type { PictureSize } from "../allulook4/decode.ts";
import type { Geometry } from "../preprocess/prepare.ts";

export interface CellMap {
  /** Model pixels per side of a cell. */
  readonly stride: number;
  readonly columns: number;
  readonly rows: number;
  /** rows * columns */
  readonly values: Float32Array;
}

/**
 * Sums of a picture's values over cells of `stride` pixels and all channels; the last cells may be cut.
 *
 * @param values [height, width, channels]
 */
export function cellSums(
  values: Float32Array,
  height: number,
  width: number,
  channels: number,
  stride: number,
): CellMap {
  const columns = Math.ceil(width / stride);
  const rows = Math.ceil(height / stride);
  const sums = new Float32Array(rows * columns);
  for (const [i, value] of values.entries()) {
    const pixel = Math.floor(i / channels);
    const cell = Math.floor(Math.floor(pixel / width) / stride) * columns + Math.floor((pixel % width) / stride);
    sums[cell] = (sums[cell] as number) + value;
  }
  return { stride, columns, rows, values: sums };
}

/** The map in cells of another stride: summed where they grow by a whole factor, interpolated where they shrink. */
export function resampled(map: CellMap, stride: number): CellMap {
  if (stride === map.stride) return map;
  if (stride > map.stride) {
    const { values, columns, rows } = cellSums(map.values, map.rows, map.columns, 1, stride / map.stride);
    return { stride, columns, rows, values };
  }
  const columns = Math.ceil((map.columns * map.stride) / stride);
  const rows = Math.ceil((map.rows * map.stride) / stride);
  const values = Float32Array.from({ length: rows * columns }, (_, i) =>
    interpolated(
      map,
      (((i % columns) + 0.5) * stride) / map.stride,
      ((Math.floor(i / columns) + 0.5) * stride) / map.stride,
    ),
  );
  return { stride, columns, rows, values };
}

/** One value for every pixel of the original picture. */
export function pictureMap(map: CellMap, geometry: Geometry, size: PictureSize): Float32Array {
  const across = geometry.contentWidth / size.width / map.stride;
  const down = geometry.contentHeight / size.height / map.stride;
  return Float32Array.from({ length: size.width * size.height }, (_, i) =>
    interpolated(map, ((i % size.width) + 0.5) * across, (Math.floor(i / size.width) + 0.5) * down),
  );
}

/** Bilinear, at a place in cells; the border goes on outside. */
function interpolated({ values, columns, rows }: CellMap, x: number, y: number): number {
  const left = Math.min(Math.max(x - 0.5, 0), columns - 1);
  const top = Math.min(Math.max(y - 0.5, 0), rows - 1);
  const [u, v] = [Math.floor(left), Math.floor(top)];
  const [right, below] = [Math.min(u + 1, columns - 1), Math.min(v + 1, rows - 1)];
  const at = (row: number, column: number) => values[row * columns + column] as number;
  const [across, down] = [left - u, top - v];
  const upper = at(v, u) * (1 - across) + at(v, right) * across;
  const lower = at(below, u) * (1 - across) + at(below, right) * across;
  return upper * (1 - down) + lower * down;
}

/** A picture smoothed by three box filters, nearly a Gaussian. @param values [height, width, channels] */
export function blurred(
  values: Float32Array,
  height: number,
  width: number,
  channels: number,
  radius: number,
): Float32Array {
  let out = values;
  for (let pass = 0; pass < 3; pass++) {
    out = boxFilter(out, height, width, channels, radius, width, 1);
    out = boxFilter(out, width, height, channels, radius, 1, width);
  }
  return out;
}

/** Means along one axis: `lines` lines of `length` pixels; the border goes on outside. */
function boxFilter(
  values: Float32Array,
  lines: number,
  length: number,
  channels: number,
  radius: number,
  lineStep: number,
  step: number,
): Float32Array {
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < channels; c++) {
      const index = (i: number) => (line * lineStep + Math.min(Math.max(i, 0), length - 1) * step) * channels + c;
      let sum = 0;
      for (let i = -radius; i <= radius; i++) sum += values[index(i)] as number;
      for (let i = 0; i < length; i++) {
        out[index(i)] = sum / (2 * radius + 1);
        sum += (values[index(i + radius + 1)] as number) - (values[index(i - radius)] as number);
      }
    }
  }
  return out;
}
