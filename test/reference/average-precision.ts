/**
 * Average precision as its definition reads: at each of 101 recalls, the best precision at that recall or beyond. The
 * recalls are multiples of 0.01 in floating point, as NumPy's linspace makes them for pycocotools: 7 of 10 is below 0.7.
 */
export function plainAveragePrecision(hits: readonly boolean[], positives: number): number {
  const points = hits.map((_, i) => {
    const right = hits.slice(0, i + 1).filter(Boolean).length;
    return { recall: right / positives, precision: right / (i + 1) };
  });
  let sum = 0;
  for (let step = 0; step <= 100; step++) {
    const beyond = points.filter(({ recall }) => recall >= step * 0.01);
    sum += Math.max(0, ...beyond.map(({ precision }) => precision));
  }
  return sum / 101;
}
