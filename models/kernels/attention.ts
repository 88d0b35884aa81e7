/**
 * Multi-head scaled dot-product attention (Vaswani et al. 2017) as one differentiable operation: softmax(q k' / sqrt(d)
 * + bias) v for all heads, forward and backward from batched products.
 */
import * as tf from "../engine/tf.ts";

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
    // Keys transposed explicitly: WASM multiplies transposed operands slowly.
    const kT = tf.transpose(k, [0, 1, 3, 2]);
    let scores = tf.mul(tf.matMul(q, kT), scale);
    if (bias !== null) scores = tf.add(scores, tf.reshape(bias, [bias.shape[0], 1, 1, bias.shape[1]]));
    const weights = tf.softmax(scores) as tf.Tensor4D;
    const y = mergeHeads(tf.matMul(weights, v));
    save([q, k, v, weights]);
    return {
      value: y as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [q0, k0, v0, w0] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const dOut = splitHeads(dy as tf.Tensor3D, heads);
        const dV = tf.matMul(tf.transpose(w0, [0, 1, 3, 2]), dOut);
        const dW = tf.matMul(dOut, tf.transpose(v0, [0, 1, 3, 2]));
        const weighted = tf.mul(dW, w0);
        const dScores = tf.mul(tf.sub(weighted, tf.mul(w0, tf.sum(weighted, -1, true))), scale) as tf.Tensor4D;
        const dQ = tf.matMul(dScores, k0);
        const dK = tf.matMul(tf.transpose(dScores, [0, 1, 3, 2]), q0);
        return [mergeHeads(dQ as tf.Tensor4D), mergeHeads(dK as tf.Tensor4D), mergeHeads(dV as tf.Tensor4D)];
      },
    };
  });
  return op(queries, keys, values) as tf.Tensor3D;
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
