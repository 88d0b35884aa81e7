/**
 * Squared Euclidean distances between n updates and the origin (no update at all), gathered block by block. Every rule
 * that looks at whole updates needs nothing else: a combination of updates has a distance to each that follows from these.
 */

export class Distances {
  readonly count: number;
  /** (n + 1) x (n + 1), symmetric; the origin comes last. */
  readonly #squared: Float64Array;

  constructor(count: number) {
    this.count = count;
    this.#squared = new Float64Array((count + 1) ** 2);
  }

  /** Between two updates; `count` stands for the origin. */
  squared(i: number, j: number): number {
    return this.#squared[i * (this.count + 1) + j] as number;
  }

  /** Adds what the same coordinates of all updates contribute to the distances of update `i` to those after it. */
  addRow(i: number, block: readonly Float32Array[]): void {
    const a = block[i] as Float32Array;
    for (let j = i + 1; j <= this.count; j++) {
      const b = block[j];
      this.#add(i, j, b === undefined ? sumOfSquares(a) : squaredDistance(a, b));
    }
  }

  /** |z - x_i|^2 = sum of a_j D_ij - this, for z = sum of a_j x_j. */
  #spread(coefficients: Float64Array): number {
    let sum = 0;
    for (let i = 0; i <= this.count; i++) sum += (coefficients[i] as number) * this.#toEach(i, coefficients);
    return sum / 2;
  }

  #toEach(i: number, coefficients: Float64Array): number {
    let sum = 0;
    for (let j = 0; j <= this.count; j++) sum += (coefficients[j] as number) * this.squared(i, j);
    return sum;
  }

  /** Distances of every update to the combination of updates and origin with these coefficients, which sum to 1. */
  allTo(coefficients: Float64Array): Float64Array {
    const spread = this.#spread(coefficients);
    return Float64Array.from({ length: this.count }, (_, i) =>
      Math.sqrt(Math.max(0, this.#toEach(i, coefficients) - spread)),
    );
  }

  #add(i: number, j: number, value: number): void {
    const width = this.count + 1;
    const sum = (this.#squared[i * width + j] as number) + value;
    this.#squared[i * width + j] = sum;
    this.#squared[j * width + i] = sum;
  }
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) {
    const difference = (a[k] as number) - (b[k] as number);
    sum += difference * difference;
  }
  return sum;
}

function sumOfSquares(a: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k] as number) ** 2;
  return sum;
}
