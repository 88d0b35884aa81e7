/**
 * Multi-head scaled dot-product attention (Vaswani et al. 2017) as one differentiable operation: softmax(q k' / sqrt(d)
 * + bias) v for all heads, forward and backward from batched products.
 */
import * as tf from "../engine/tf.ts";
import { nativeKernels } from "./native.ts";

/**
 * @param queries [B, T, D]
 * @param keys [B, S, D]
 * @param values [B, S, D]
 * @param heads divides D
 * @param bias [B, S] added to every score of that key (large and negative: not attended), or null
 * @returns [B, T, D]
 */
export function attention(
  queries: tf.Tensor3D,
  keys: tf.Tensor3D,
  values: tf.Tensor3D,
  heads: number,
  bias: tf.Tensor2D | null,
): tf.Tensor3D {
  const width = queries.shape[2] / heads;
  const scale = 1 / Math.sqrt(width);
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const q = splitHeads(queries, heads);
    const k = splitHeads(keys, heads);
    const v = splitHeads(values, heads);
    let scores = tf.mul(product(q, k, false, true), scale) as tf.Tensor4D;
    if (bias !== null) scores = tf.add(scores, tf.reshape(bias, [bias.shape[0], 1, 1, bias.shape[1]]));
    const weights = tf.softmax(scores) as tf.Tensor4D;
    const y = mergeHeads(product(weights, v, false, false));
    save([q, k, v, weights]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [q0, k0, v0, w0] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const dOut = splitHeads(dy as tf.Tensor3D, heads);
        const dV = product(w0, dOut, true, false);
        const dW = product(dOut, v0, false, true);
        const weighted = tf.mul(dW, w0);
        const dScores = tf.mul(tf.sub(weighted, tf.mul(w0, tf.sum(weighted, -1, true))), scale) as tf.Tensor4D;
        const dQ = product(dScores, k0, false, false);
        const dK = product(dScores, q0, true, false);
        return [mergeHeads(dQ), mergeHeads(dK), mergeHeads(dV)];
      },
    };
  });
  return op(queries, keys, values) as tf.Tensor3D;
}

/** Batched product. Operands are transposed first where the engine multiplies transposed ones slowly (WASM). */
function product(a: tf.Tensor4D, b: tf.Tensor4D, transposeA: boolean, transposeB: boolean): tf.Tensor4D {
  if (nativeKernels() !== null) return tf.matMul(a, b, transposeA, transposeB);
  const order = [0, 1, 3, 2];
  return tf.matMul(transposeA ? tf.transpose(a, order) : a, transposeB ? tf.transpose(b, order) : b);
}

/** [B, T, D] -> [B, heads, T, D / heads] */
function splitHeads(x: tf.Tensor3D, heads: number): tf.Tensor4D {
  const [batch, tokens, width] = x.shape;
  return tf.transpose(tf.reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, heads, T, d] -> [B, T, heads * d] */
function mergeHeads(x: tf.Tensor4D): tf.Tensor3D {
  const [batch, heads, tokens, width] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * width]);
}
