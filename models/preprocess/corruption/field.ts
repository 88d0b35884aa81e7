/** Smooth random fields: clouds of fog, dirt, and the patches in which depth gets lost. */
import type { Rng } from "../../../shared/rng/rng.ts";

/**
 * Value noise summed over octaves of half the size and half the strength (Perlin 1985, "An image synthesizer").
 *
 * @param cells of the coarsest octave along the longer side
 * @returns height * width ranks in [0, 1): each share of the range is the same share of the pixels
 */
export function smoothRanks(width: number, height: number, cells: number, octaves: number, rng: Rng): Float32Array {
  const values = new Float32Array(width * height);
  for (let octave = 0; octave < octaves; octave++) {
    const cell = Math.max(width, height) / (cells * 2 ** octave);
    const columns = Math.ceil(width / cell) + 1;
    const rows = Math.ceil(height / cell) + 1;
    const lattice = Float32Array.from({ length: columns * rows }, () => rng.uniform() / 2 ** octave);
    for (let y = 0; y < height; y++) {
      const [top, v] = cellOf(y, cell);
      for (let x = 0; x < width; x++) {
        const [left, u] = cellOf(x, cell);
        const at = top * columns + left;
        const upper = mix(lattice[at] as number, lattice[at + 1] as number, u);
        const lower = mix(lattice[at + columns] as number, lattice[at + columns + 1] as number, u);
        const pixel = y * width + x;
        values[pixel] = (values[pixel] as number) + mix(upper, lower, v);
      }
    }
  }
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const ranks = new Float32Array(values.length);
  for (const [rank, pixel] of order.entries()) ranks[pixel] = rank / values.length;
  return ranks;
}

/** The lattice cell of a pixel's middle, and the smoothed place in it. */
function cellOf(pixel: number, cell: number): [number, number] {
  const at = (pixel + 0.5) / cell;
  const index = Math.floor(at);
  const within = at - index;
  return [index, within * within * (3 - 2 * within)];
}

function mix(a: number, b: number, share: number): number {
  return a + share * (b - a);
}
