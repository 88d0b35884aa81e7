/**
 * The receiver operating characteristic: how well a score ranks members of a class above the rest (Fawcett 2006). As in
 * average-precision.ts, scores come in groups of falling score; equal scores are one group.
 */

export interface ScoreGroups {
  /** Per group, highest scores first. */
  readonly positives: readonly number[];
  readonly negatives: readonly number[];
}

/** Groups scored members and non-members by equal score. */
export function groupScores(scores: readonly number[], members: readonly boolean[]): ScoreGroups {
  const order = scores.map((_, i) => i).toSorted((a, b) => (scores[b] as number) - (scores[a] as number));
  const positives: number[] = [];
  const negatives: number[] = [];
  for (const [at, i] of order.entries()) {
    const last = order[at - 1];
    if (last === undefined || scores[last] !== scores[i]) {
      positives.push(0);
      negatives.push(0);
    }
    const side = members[i] === true ? positives : negatives;
    side[side.length - 1] = (side.at(-1) as number) + 1;
  }
  return { positives, negatives };
}

/** Area under the curve: the chance that a member scores higher than a non-member, ties half. Null without both. */
export function auroc({ positives, negatives }: ScoreGroups): number | null {
  const members = positives.reduce((sum, count) => sum + count, 0);
  const others = negatives.reduce((sum, count) => sum + count, 0);
  if (members === 0 || others === 0) return null;
  let above = 0;
  let area = 0;
  for (const [i, count] of positives.entries()) {
    const against = negatives[i] as number;
    area += against * (above + count / 2);
    above += count;
  }
  return area / members / others;
}

/** True positive rate at false positive rates 0, 1/100, … 1, straight between the curve's corners. Empty without both. */
export function rocCurve({ positives, negatives }: ScoreGroups): number[] {
  const members = positives.reduce((sum, count) => sum + count, 0);
  const others = negatives.reduce((sum, count) => sum + count, 0);
  if (members === 0 || others === 0) return [];
  // In whole counts: sums of shares would miss the places where they should meet.
  const corners: [number, number][] = [[0, 0]];
  for (const [i, count] of positives.entries()) {
    const [x, y] = corners.at(-1) as [number, number];
    corners.push([x + (negatives[i] as number), y + count]);
  }
  return Array.from({ length: 101 }, (_, step) => {
    const wanted = (step * others) / 100;
    // At a vertical piece, its upper end.
    const after = corners.findIndex(([x]) => x > wanted);
    if (after < 0) return 1;
    const [x0, y0] = corners[after - 1] as [number, number];
    const [x1, y1] = corners[after] as [number, number];
    return (y0 + ((wanted - x0) / (x1 - x0)) * (y1 - y0)) / members;
  });
}
