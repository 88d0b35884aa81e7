/** What was spent of a privacy budget, in one line. */

export interface Spending {
  /** Whom the noise protects; "both" where plans differed. */
  readonly unit: "example" | "client" | "both" | "none";
  readonly epsilon: number;
  readonly delta: number;
  /** null: there is no limit. */
  readonly budget: number | null;
  readonly left: number | null;
}

const WHOM = {
  example: "each single picture",
  client: "each whole site",
  both: "single pictures and whole sites",
  none: "nobody so far",
} as const;

/** Such as "epsilon 3.214 of 8 spent (4.786 left), delta 0.00001, for each whole site". */
export function spentWords({ unit, epsilon, delta, budget, left }: Spending): string {
  const of = budget === null || left === null ? "spent, no limit" : `of ${budget} spent (${left.toFixed(3)} left)`;
  return `epsilon ${epsilon.toFixed(3)} ${of}, delta ${delta}, for ${WHOM[unit]}`;
}
