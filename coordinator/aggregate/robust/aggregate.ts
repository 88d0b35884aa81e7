/**
 * Runs a robust rule over updates that are read block by block, as often as the rule needs: once for the distances
 * between them, where it looks at any, and once for the result. Never more than one block of each is held.
 */
import { Distances } from "./distances.ts";
import { eachCoordinate } from "./coordinates.ts";
import type { Recipe, RobustRule } from "./rules.ts";

/** The same coordinates of every update, side by side. */
export interface Block {
  /** Of its first coordinate. */
  readonly at: number;
  readonly parts: readonly Float32Array[];
}

export interface Updates {
  readonly count: number;
  /** One pass over all coordinates, in order; a block is valid until the next. */
  blocks(): AsyncIterable<Block>;
}

type Pause = () => Promise<void>;

/** Numbers looked at between two pauses: some milliseconds. */
const PER_PAUSE = 4 << 20;

/** Calls `result` with the rule's values, block by block. */
export async function aggregateRobustly(
  robust: RobustRule,
  updates: Updates,
  result: (at: number, values: Float64Array) => void,
  pause: Pause = async () => {},
): Promise<void> {
  const everyone = Array.from({ length: updates.count }, (_, i) => i);
  const what: Recipe =
    "rule" in robust
      ? { chosen: everyone, rule: robust.rule }
      : robust.byDistance(await distancesBetween(updates, pause));
  for await (const { at, parts } of updates.blocks()) {
    const out = new Float64Array(parts[0]?.length ?? 0);
    if ("coefficients" in what) {
      combine(what.coefficients, parts, out);
    } else {
      eachCoordinate(
        what.rule,
        what.chosen.map((i) => parts[i] as Float32Array),
        out,
      );
    }
    result(at, out);
    await pause();
  }
}

async function distancesBetween(updates: Updates, pause: Pause): Promise<Distances> {
  const distances = new Distances(updates.count);
  let looked = 0;
  for await (const { parts } of updates.blocks()) {
    for (let i = 0; i < updates.count; i++) {
      distances.addRow(i, parts);
      looked += (updates.count - i) * (parts[0]?.length ?? 0);
      if (looked < PER_PAUSE) continue;
      looked = 0;
      await pause();
    }
  }
  return distances;
}

function combine(coefficients: Float64Array, parts: readonly Float32Array[], out: Float64Array): void {
  for (const [i, part] of parts.entries()) {
    const coefficient = coefficients[i] as number;
    if (coefficient === 0) continue;
    for (let k = 0; k < out.length; k++) out[k] = (out[k] as number) + coefficient * (part[k] as number);
  }
}
