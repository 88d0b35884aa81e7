/** How well a score tells two groups apart: the area under the ROC curve, with its interval. */

export interface Auc {
  readonly auc: number;
  /** 95 %, by DeLong's variance (DeLong, DeLong, Clarke-Pearson 1988). */
  readonly interval: readonly [number, number];
}

/** Probability that a member's score is above an outsider's, ties counted half. */
export function aucOf(members: readonly number[], outsiders: readonly number[]): Auc {
  const above = (a: number, b: number) => (a > b ? 1 : a === b ? 0.5 : 0);
  const byMember = members.map((score) => meanOf(outsiders.map((other) => above(score, other))));
  const byOutsider = outsiders.map((other) => meanOf(members.map((score) => above(score, other))));
  const auc = meanOf(byMember);
  const deviation = Math.sqrt(varianceOf(byMember) / members.length + varianceOf(byOutsider) / outsiders.length);
  const reach = 1.96 * deviation;
  return { auc, interval: [Math.max(0, auc - reach), Math.min(1, auc + reach)] };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function varianceOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1);
}
