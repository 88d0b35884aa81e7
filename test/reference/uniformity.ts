/** Is a vector uniform noise, and does it say anything about another? Fixed significance 1e-6. */

/** Upper 1e-6 quantile of the standard normal distribution. */
const Z = 4.7534;

/** Pearson's chi-square of the byte values of one position in every word against uniform; `limit` is its 1e-6 quantile. */
export function chiSquare(bytes: Uint8Array, stride: number, offset: number): { value: number; limit: number } {
  const counts = new Float64Array(256);
  let n = 0;
  for (let i = offset; i < bytes.length; i += stride, n++) counts[bytes[i] as number]!++;
  const expected = n / 256;
  const value = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const df = 255;
  // Wilson and Hilferty (1931)
  const limit = df * (1 - 2 / (9 * df) + Z * Math.sqrt(2 / (9 * df))) ** 3;
  return { value, limit };
}

/** Pearson correlation of two series and the 1e-6 limit (two-sided) for independent ones. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): { value: number; limit: number } {
  const n = a.length;
  const mean = (x: ArrayLike<number>) => Array.from(x).reduce((sum, v) => sum + v, 0) / n;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [da, db] = [(a[i] as number) - ma, (b[i] as number) - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return { value: ab / Math.sqrt(aa * bb), limit: 4.8916 / Math.sqrt(n) };
}
