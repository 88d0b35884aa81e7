/**
 * Tails of the hypergeometric distribution in log space: drawing without replacement, as a client draws its
 * neighbours from the roster.
 */

/** ln i! by i; grows as it is needed. */
const LOG_FACTORIALS = [0];

function logFactorial(n: number): number {
  for (let i = LOG_FACTORIALS.length; i <= n; i++) {
    LOG_FACTORIALS.push((LOG_FACTORIALS[i - 1] as number) + Math.log(i));
  }
  return LOG_FACTORIALS[n] as number;
}

/** log2 of n over k; -Infinity where there is no such choice. */
export function log2Choose(n: number, k: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY;
  return (logFactorial(n) - logFactorial(k) - logFactorial(n - k)) / Math.LN2;
}

/** log2 of the sum of numbers given by their log2. */
export function log2Sum(terms: readonly number[]): number {
  const largest = terms.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  return largest + Math.log2(terms.reduce((sum, term) => sum + 2 ** (term - largest), 0));
}

/**
 * log2 P[X >= atLeast], X the number of marked ones among `drawn` of `population`, of which `marked` are marked;
 * -Infinity where that cannot happen.
 */
export function log2Tail(population: number, marked: number, drawn: number, atLeast: number): number {
  const least = Math.max(0, drawn - (population - marked));
  if (atLeast <= least) return 0;
  const all = log2Choose(population, drawn);
  const terms: number[] = [];
  for (let x = atLeast; x <= Math.min(marked, drawn); x++) {
    terms.push(log2Choose(marked, x) + log2Choose(population - marked, drawn - x) - all);
  }
  return Math.min(0, log2Sum(terms));
}
