/**
 * Depth errors of one picture. Relative and inverse depth have neither unit nor zero: the prediction is aligned to
 * the truth by the scale (never negative) and shift of least squares, and the truth is divided by its mean, so that
 * pictures of different units weigh alike.
 */
import type { Labels } from "../../shared/config/federation.ts";
import type { DepthMap } from "../preprocess/sample.ts";

export interface DepthErrors {
  /** Mean squared error, in square metres, or in squares of the picture's mean depth. */
  readonly squared: number;
  /** Mean of |error|, in metres, or in the picture's mean depth. */
  readonly absolute: number;
  /** Mean of |error| / truth. */
  readonly relative: number;
  /** Mean of (ln prediction - ln truth)^2. */
  readonly squaredLog: number;
  /** 100 times the standard deviation of ln prediction - ln truth (Eigen et al. 2014; KITTI's SILog). */
  readonly silog: number;
  /** Share of pixels whose ratio to the truth, either way, is below 1.25, 1.25^2 and 1.25^3. */
  readonly delta1: number;
  readonly delta2: number;
  readonly delta3: number;
  readonly pixels: number;
}

/** Predictions below this share of the picture's mean depth count as this when a ratio is formed. */
const SMALLEST = 1e-3;
const DELTAS = [1.25, 1.25 ** 2, 1.25 ** 3] as const;

/**
 * Scale >= 0 and shift that bring `prediction` closest to `truth` in least squares.
 *
 * @param counts which pixels take part
 */
export function alignment(
  prediction: Float32Array,
  truth: Float32Array,
  counts: (pixel: number) => boolean,
): { scale: number; shift: number } {
  let n = 0;
  let meanX = 0;
  let meanY = 0;
  for (let i = 0; i < truth.length; i++) {
    if (!counts(i)) continue;
    n++;
    meanX += prediction[i] as number;
    meanY += truth[i] as number;
  }
  if (n === 0) return { scale: 0, shift: 0 };
  meanX /= n;
  meanY /= n;
  let xx = 0;
  let xy = 0;
  for (let i = 0; i < truth.length; i++) {
    if (!counts(i)) continue;
    const dx = (prediction[i] as number) - meanX;
    xx += dx * dx;
    xy += dx * ((truth[i] as number) - meanY);
  }
  const scale = xx > 0 ? Math.max(0, xy / xx) : 0;
  return { scale, shift: meanY - scale * meanX };
}

/**
 * Errors of one picture over the pixels that have a reading and are not left out.
 *
 * @param prediction one value per pixel, in metres where depth is metric
 * @param only 1 where a pixel is scored; null: everywhere
 * @returns null when no pixel is scored
 */
export function depthErrors(
  prediction: Float32Array,
  truth: DepthMap,
  kind: Labels["depth"]["kind"],
  only: Uint8Array | null = null,
): DepthErrors | null {
  const counts = (pixel: number) => truth.valid[pixel] === 1 && (only === null || only[pixel] === 1);
  const fit = kind === "metric" ? { scale: 1, shift: 0 } : alignment(prediction, truth.values, counts);
  let pixels = 0;
  let total = 0;
  for (let i = 0; i < truth.values.length; i++) {
    if (!counts(i)) continue;
    pixels++;
    total += truth.values[i] as number;
  }
  if (pixels === 0) return null;
  const mean = Math.abs(total / pixels) || 1;
  const unit = kind === "metric" ? 1 : mean;
  const floor = SMALLEST * mean;
  let squared = 0;
  let absolute = 0;
  let relative = 0;
  let logs = 0;
  let squaredLogs = 0;
  const close = [0, 0, 0];
  for (let i = 0; i < truth.values.length; i++) {
    if (!counts(i)) continue;
    const wanted = truth.values[i] as number;
    const got = (prediction[i] as number) * fit.scale + fit.shift;
    const error = Math.abs(got - wanted) / unit;
    squared += error ** 2;
    absolute += error;
    const safe = Math.max(wanted, floor);
    relative += Math.abs(got - wanted) / safe;
    const ratio = Math.max(got, floor) / safe;
    const logarithm = Math.log(ratio);
    logs += logarithm;
    squaredLogs += logarithm ** 2;
    const off = Math.max(ratio, 1 / ratio);
    for (const [k, limit] of DELTAS.entries()) if (off < limit) close[k] = (close[k] as number) + 1;
  }
  const [delta1, delta2, delta3] = close.map((count) => count / pixels) as [number, number, number];
  return {
    squared: squared / pixels,
    absolute: absolute / pixels,
    relative: relative / pixels,
    squaredLog: squaredLogs / pixels,
    silog: 100 * Math.sqrt(Math.max(0, squaredLogs / pixels - (logs / pixels) ** 2)),
    delta1,
    delta2,
    delta3,
    pixels,
  };
}

/** The pixel-wise mean of depth maps: what a model must beat to have learned anything from pictures. */
export class MeanDepthMap {
  readonly width: number;
  readonly height: number;
  readonly #sums: Float64Array;
  readonly #counts: Uint32Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.#sums = new Float64Array(width * height);
    this.#counts = new Uint32Array(width * height);
  }

  /** Adds a map of any size, by the nearest pixel. */
  add(depth: DepthMap, width: number, height: number): void {
    for (let y = 0; y < this.height; y++) {
      const row = Math.min(height - 1, Math.floor(((y + 0.5) * height) / this.height));
      for (let x = 0; x < this.width; x++) {
        const column = Math.min(width - 1, Math.floor(((x + 0.5) * width) / this.width));
        const from = row * width + column;
        if (depth.valid[from] !== 1) continue;
        const to = y * this.width + x;
        this.#sums[to] = (this.#sums[to] as number) + (depth.values[from] as number);
        this.#counts[to] = (this.#counts[to] as number) + 1;
      }
    }
  }

  /** The mean map in any size; where nothing was ever read, the mean of everything. Null when nothing was added. */
  render(width: number, height: number): Float32Array | null {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < this.#sums.length; i++) {
      sum += this.#sums[i] as number;
      count += this.#counts[i] as number;
    }
    if (count === 0) return null;
    const out = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const row = Math.min(this.height - 1, Math.floor(((y + 0.5) * this.height) / height));
      for (let x = 0; x < width; x++) {
        const from = row * this.width + Math.min(this.width - 1, Math.floor(((x + 0.5) * this.width) / width));
        const seen = this.#counts[from] as number;
        out[y * width + x] = seen > 0 ? (this.#sums[from] as number) / seen : sum / count;
      }
    }
    return out;
  }
}
