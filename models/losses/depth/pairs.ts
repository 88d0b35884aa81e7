/**
 * Which pairs of cells are compared: up to 300 a picture, half of them significant (two random cells whose depths
 * differ), half around edges (Xian et al. 2020, edge-guided sampling: an anchor on an edge, four points on the line
 * across it, three pairs). Edges are the picture's where the model sees one, else those of the depth itself.
 *
 * The draw is seeded by the target map: the loss stays a function of its arguments, and every other crop, flip or
 * picture draws other pairs.
 */
import { Rng } from "../../../shared/rng/rng.ts";
import { type DepthMaps, readings } from "./map.ts";

export interface DepthPair {
  readonly first: number;
  readonly second: number;
  /** 1: the first is farther; -1: the second; 0: no significant difference. */
  readonly order: -1 | 0 | 1;
}

export const PAIRS = 300;
/** Of normalised depth: a tenth of a metric distance, or of the deviation of a relative one. */
export const SIGNIFICANT = 0.1;
/** Cells whose edge is at least this share of the strongest are edges. */
const EDGE_SHARE = 0.1;
/** Across an edge, points lie at most this share of the map's longer side away. */
const REACH = 1 / 10;
const TRIES = 8;

/** @returns pairs of cells with readings; fewer than `PAIRS` where the map is flat, small or mostly unread */
export function samplePairs(maps: DepthMaps): DepthPair[] {
  const cells = readings(maps);
  if (cells.length < 2) return [];
  const rng = Rng.of("depth pairs", hashOf(maps));
  const around = edgePairs(maps, rng, PAIRS / 2);
  return [...around, ...significantPairs(maps, cells, rng, PAIRS - around.length)];
}

function orderOf(target: ArrayLike<number>, first: number, second: number): DepthPair["order"] {
  const difference = (target[first] as number) - (target[second] as number);
  return Math.abs(difference) <= SIGNIFICANT ? 0 : difference > 0 ? 1 : -1;
}

/** Random pairs that differ by more than `SIGNIFICANT`. */
function significantPairs(maps: DepthMaps, cells: readonly number[], rng: Rng, count: number): DepthPair[] {
  const pairs: DepthPair[] = [];
  for (let tries = count * TRIES; tries > 0 && pairs.length < count; tries--) {
    const first = cells[rng.below(cells.length)] as number;
    const second = cells[rng.below(cells.length)] as number;
    const order = orderOf(maps.target, first, second);
    if (order !== 0) pairs.push({ first, second, order });
  }
  return pairs;
}

function edgePairs(maps: DepthMaps, rng: Rng, count: number): DepthPair[] {
  const { width, height, weight, target } = maps;
  const anchors = edges(maps);
  const pairs: DepthPair[] = [];
  if (anchors.length === 0) return pairs;
  const reach = Math.max(2, Math.round(Math.max(width, height) * REACH));
  for (let tries = count; tries > 0 && pairs.length + 3 <= count; tries--) {
    const { cell, across, down } = anchors[rng.below(anchors.length)] as Edge;
    const distances = [1 + rng.below(reach), 1 + rng.below(reach)].toSorted((a, b) => b - a);
    const beyond = [1 + rng.below(reach), 1 + rng.below(reach)].toSorted((a, b) => a - b);
    const points = [...distances.map((distance) => -distance), ...beyond].map((distance) => {
      const x = Math.round((cell % width) + distance * across);
      const y = Math.round(Math.floor(cell / width) + distance * down);
      return x >= 0 && y >= 0 && x < width && y < height ? y * width + x : -1;
    });
    for (let i = 0; i < 3; i++) {
      const first = points[i] as number;
      const second = points[i + 1] as number;
      if (first < 0 || second < 0 || first === second) continue;
      if (!((weight[first] as number) > 0 && (weight[second] as number) > 0)) continue;
      pairs.push({ first, second, order: orderOf(target, first, second) });
    }
  }
  return pairs;
}

interface Edge {
  readonly cell: number;
  /** Unit vector of the steepest change. */
  readonly across: number;
  readonly down: number;
}

function edges({ width, height, target, weight, picture }: DepthMaps): Edge[] {
  const found: (Edge & { strength: number })[] = [];
  const valueAt = (cell: number): number => {
    if (picture === null) return (weight[cell] as number) > 0 ? (target[cell] as number) : Number.NaN;
    return ((picture[cell * 3] as number) + (picture[cell * 3 + 1] as number) + (picture[cell * 3 + 2] as number)) / 3;
  };
  for (let y = 1; y + 1 < height; y++) {
    for (let x = 1; x + 1 < width; x++) {
      const cell = y * width + x;
      const dx = valueAt(cell + 1) - valueAt(cell - 1);
      const dy = valueAt(cell + width) - valueAt(cell - width);
      const strength = Math.hypot(dx, dy);
      // NaN beside a cell without a reading.
      if (strength > 0) found.push({ cell, across: dx / strength, down: dy / strength, strength });
    }
  }
  const strongest = found.reduce((most, { strength }) => Math.max(most, strength), 0);
  return found.filter(({ strength }) => strength >= EDGE_SHARE * strongest);
}

/** FNV-1a over the cells with readings. */
function hashOf({ target, weight }: DepthMaps): number {
  const words = new Uint32Array(
    new Float32Array(Array.from(target, (value, i) => ((weight[i] as number) > 0 ? value : 0))).buffer,
  );
  let hash = 2_166_136_261;
  for (const word of words) hash = Math.imul(hash ^ word, 16_777_619) >>> 0;
  return hash;
}
