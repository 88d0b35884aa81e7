/** Stop-watches for benchmarks. */

/** Seconds that `work` takes. */
export function seconds(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** Seconds that asynchronous `work` takes. */
export async function secondsAsync(work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** The median of `runs` measurements. */
export function median(runs: number, work: () => void): number {
  return middle(Array.from({ length: runs }, () => seconds(work)));
}

/** Middle value; the lower one of two. */
export function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] as number;
}
