/**
 * Rules that choose whole updates by how close their neighbours are.
 * Krum, Multi-Krum: Blanchard et al. 2017, "Machine Learning with Adversaries". Bulyan's selection: El Mhamdi et al. 2018,
 * "The Hidden Vulnerability of Distributed Learning in Byzantium".
 */
import type { Distances } from "./distances.ts";

/**
 * Krum's score of each of `among`: the sum of the squared distances to its |among| - f - 2 nearest neighbours, at
 * least one.
 */
function scores(distances: Distances, among: readonly number[], attackers: number): Map<number, number> {
  const neighbours = Math.max(1, among.length - attackers - 2);
  return new Map(
    among.map((i) => {
      const near = Float64Array.from(among.filter((j) => j !== i).map((j) => distances.squared(i, j))).sort();
      return [i, near.subarray(0, neighbours).reduce((sum, value) => sum + value, 0)];
    }),
  );
}

/** Indices by Krum's score, best first. Of equal ones the shorter update comes first: no order of clients decides. */
function ranked(distances: Distances, among: readonly number[], attackers: number): number[] {
  const given = scores(distances, among, attackers);
  const norm = (i: number) => distances.squared(i, distances.count);
  return among.toSorted((i, j) => (given.get(i) as number) - (given.get(j) as number) || norm(i) - norm(j) || i - j);
}

function everyone(distances: Distances): number[] {
  return Array.from({ length: distances.count }, (_, i) => i);
}

/** The `keep` updates with the best scores; Krum keeps one. */
export function multiKrum(distances: Distances, attackers: number, keep: number): number[] {
  return ranked(distances, everyone(distances), attackers).slice(0, keep);
}

/** n - 2f updates, each Krum's choice among those not chosen yet. */
export function bulyanSelection(distances: Distances, attackers: number): number[] {
  let left = everyone(distances);
  const chosen: number[] = [];
  while (chosen.length < distances.count - 2 * attackers) {
    const best = ranked(distances, left, attackers)[0] as number;
    chosen.push(best);
    left = left.filter((i) => i !== best);
  }
  return chosen;
}
