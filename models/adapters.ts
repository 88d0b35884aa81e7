/**
 * Low-rank adapters (LoRA, Hu et al. 2021): a kernel seen as a matrix W [m, n], its last axis the outputs, becomes
 * W0 + (alpha / r) down up^T with down [m, r] and up [n, r]. W0 stays; up begins at zero, so that nothing changes at first.
 * The sum is computed before every step and the kernel's gradient taken through it, so that any layer can have one.
 */
import * as tf from "./engine/tf.ts";

interface AdapterShape {
  /** m, r */
  readonly down: readonly [number, number];
  /** n, r */
  readonly up: readonly [number, number];
}

/** Null where the adapter would be no smaller than the kernel itself. */
export function adapterOf(shape: readonly number[], rank: number): AdapterShape | null {
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, side) => product * side, 1);
  return rank * (rows + columns) < rows * columns ? { down: [rows, rank], up: [columns, rank] } : null;
}

/** The two factors. */
export interface Factors {
  readonly down: tf.Tensor2D;
  readonly up: tf.Tensor2D;
}

/** W0 + scale down up^T. */
export function adapted(kernel: tf.Tensor, { down, up }: Factors, scale: number): tf.Tensor {
  return tf.tidy(() => tf.add(kernel, tf.reshape(tf.mul(tf.matMul(down, up, false, true), scale), kernel.shape)));
}

/** The gradient of one factor from that of the kernel, G: scale G up, or scale G^T down. */
export function factorGradient(
  part: "down" | "up",
  gradient: tf.Tensor,
  { down, up }: Factors,
  scale: number,
): tf.Tensor2D {
  return tf.tidy(() => {
    const matrix = tf.reshape(gradient, [down.shape[0], up.shape[0]]) as tf.Tensor2D;
    const product = part === "down" ? tf.matMul(matrix, up) : tf.matMul(matrix, down, true, false);
    return tf.mul(product, scale);
  });
}
