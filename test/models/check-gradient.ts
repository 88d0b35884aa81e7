/** Compares a gradient with central differences along random directions. */
import * as tf from "../../models/engine/tf.ts";
import { Rng } from "../../shared/rng/rng.ts";

export function randomTensor(rng: Rng, shape: number[], scale = 1): tf.Tensor {
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => rng.normal() * scale),
    shape,
  );
}

/**
 * The largest relative difference over all inputs between the gradient of sum(weights * f(inputs)) and its central
 * difference, each along one random direction.
 */
export function gradientError(
  f: (...inputs: tf.Tensor[]) => tf.Tensor,
  inputs: readonly tf.Tensor[],
  rng: Rng,
  step = 1e-2,
): number {
  const shape = tf.tidy(() => f(...inputs).shape);
  const weights = randomTensor(rng, shape);
  const scalar = (...at: tf.Tensor[]) => tf.sum(tf.mul(f(...at), weights)) as tf.Scalar;
  const gradients = tf.grads(scalar)([...inputs]);
  let worst = 0;
  for (const [i, input] of inputs.entries()) {
    const direction = randomTensor(rng, input.shape);
    const at = (sign: number) =>
      tf.tidy(() => {
        const moved = [...inputs];
        moved[i] = tf.add(input, tf.mul(direction, sign * step));
        // Summed in double precision: the difference of two large sums is small.
        const values = f(...(moved as tf.Tensor[])).dataSync();
        const factors = weights.dataSync();
        let sum = 0;
        for (let k = 0; k < values.length; k++) sum += (values[k] as number) * (factors[k] as number);
        return sum;
      });
    const numeric = (at(1) - at(-1)) / (2 * step);
    const analytic = tf.tidy(() => tf.sum(tf.mul(gradients[i] as tf.Tensor, direction)).dataSync()[0] as number);
    worst = Math.max(worst, Math.abs(numeric - analytic) / Math.max(1, Math.abs(numeric), Math.abs(analytic)));
  }
  return worst;
}
