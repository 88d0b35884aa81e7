/**
 * Root-mean-square normalisation over groups of channels of one sample: GroupNorm (Wu and He 2018) without the mean,
 * as RMSNorm is to LayerNorm (Zhang and Sennrich 2019). Independent of the batch, without running statistics, so
 * nothing but params is averaged across clients. docs/decisions says what it was chosen against.
 *
 * The statistics are a few hundred numbers; they are combined in JavaScript, in double precision, which is quicker
 * than a dozen tiny kernels.
 */
import * as tf from "../engine/tf.ts";
import { constantInts, nativeKernels } from "./native.ts";

const EPSILON = 1e-5;

/**
 * y[b,...,c] = x[b,...,c] * scale[c] / rms(x over all positions of sample b and the channels of c's group).
 *
 * @param x [B, H, W, C] or [B, T, C]; `groups` divides C
 * @param scale [C]
 */
export function rmsGroupNorm<T extends tf.Tensor>(x: T, scale: tf.Tensor1D, groups: number): T {
  const batch = x.shape[0] as number;
  const channels = x.shape.at(-1) as number;
  const perGroup = channels / groups;
  const positions = x.size / (batch * channels);
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const squares = sumOfSquares(x);
    const gain = scale.dataSync();
    const inverse = new Float64Array(batch * groups);
    const factors = new Float32Array(batch * channels);
    for (let b = 0; b < batch; b++) {
      for (let g = 0; g < groups; g++) {
        const start = b * channels + g * perGroup;
        let sum = 0;
        for (let c = start; c < start + perGroup; c++) sum += squares[c] as number;
        const r = 1 / Math.sqrt(sum / (perGroup * positions) + EPSILON);
        inverse[b * groups + g] = r;
        for (let c = start; c < start + perGroup; c++) factors[c] = (gain[c - b * channels] as number) * r;
      }
    }
    const factor = tf.tensor(factors, statisticsShape(x));
    const y = multiply(x, factor);
    save([x, factor]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x0, factor0] = saved as [tf.Tensor, tf.Tensor];
        const product = sumOverPositions(multiply(dy, x0));
        const scaleGradient = new Float32Array(channels);
        const corrections = new Float32Array(batch * channels);
        for (let b = 0; b < batch; b++) {
          for (let g = 0; g < groups; g++) {
            const r = inverse[b * groups + g] as number;
            const start = b * channels + g * perGroup;
            let weighted = 0;
            for (let c = start; c < start + perGroup; c++) {
              const channel = c - b * channels;
              const value = product[c] as number;
              scaleGradient[channel] = (scaleGradient[channel] as number) + value * r;
              weighted += (gain[channel] as number) * value;
            }
            const correction = (weighted * r * r * r) / (perGroup * positions);
            corrections.fill(correction, start, start + perGroup);
          }
        }
        const dx = tf.sub(multiply(dy, factor0), multiply(x0, tf.tensor(corrections, statisticsShape(x0))));
        return [dx, tf.tensor1d(scaleGradient)];
      },
    };
  });
  return op(x, scale) as T;
}

/**
 * RMSNorm along the last axis: y[p, c] = x[p, c] * scale[c] / rms(x[p, :]).
 *
 * @param x [P, C]
 */
export function rmsNorm(x: tf.Tensor2D, scale: tf.Tensor1D): tf.Tensor2D {
  const channels = x.shape[1];
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), EPSILON));
    const normal = multiply(x, inverse);
    const y = tf.mul(normal, scale);
    save([normal, inverse, scale]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [normal0, inverse0, scale0] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D];
        const product = tf.mul(dy, normal0);
        const scaleGradient = tf.sum(product, 0);
        const weighted = tf.mul(dy, scale0);
        const projection = tf.matMul(product as tf.Tensor2D, tf.reshape(scale0, [channels, 1]));
        const dx = multiply(tf.sub(weighted, tf.mul(normal0, tf.div(projection, channels))), inverse0);
        return [dx, scaleGradient];
      },
    };
  });
  return op(x, scale) as tf.Tensor2D;
}

function statisticsShape(x: tf.Tensor): number[] {
  return x.shape.map((side, axis) => (axis === 0 || axis === x.rank - 1 ? side : 1));
}

function positionAxes(x: tf.Tensor): number[] {
  return x.shape.map((_, axis) => axis).slice(1, -1);
}

function multiply<T extends tf.Tensor>(x: T, factor: tf.Tensor): T {
  const native = nativeKernels();
  return (native === null ? tf.mul(x, factor) : native.run("Mul", [native.types.float], [x, factor])) as T;
}

/** Sum of squares over positions, [B * C]. */
function sumOfSquares(x: tf.Tensor): Float32Array | Float64Array {
  const native = nativeKernels();
  if (native === null) return tf.sum(tf.square(x), positionAxes(x)).dataSync<"float32">();
  const norm = native.run(
    "EuclideanNorm",
    [native.types.float, native.types.index("Tidx"), native.bool("keep_dims", false)],
    [x, constantInts(positionAxes(x))],
  );
  const values = Float64Array.from(norm.dataSync<"float32">());
  norm.dispose();
  return values.map((value) => value * value);
}

/** Sum over positions, [B * C]. Disposes its argument. */
function sumOverPositions(x: tf.Tensor): Float32Array {
  const native = nativeKernels();
  const total =
    native === null
      ? tf.sum(x, positionAxes(x))
      : native.run(
          "Sum",
          [native.types.float, native.types.index("Tidx"), native.bool("keep_dims", false)],
          [x, constantInts(positionAxes(x))],
        );
  const values = total.dataSync<"float32">();
  total.dispose();
  x.dispose();
  return values;
}
