/**
 * Multi-head scaled dot-product attention (Vaswani et al. 2017) as one differentiable pass: softmax(q k' / sqrt(d)
 * + bias) v for all heads, forward and backward from batched products.
 */
import type * as tf from "../engine/tf.ts";
import type { Keep, Pass } from "./differentiable.ts";
import { kernels } from "./loaded.ts";

/**
 * Attention of heads that are already apart; gradients of queries, keys and values.
 *
 * @param queries [B, heads, T, d]
 * @param keys [B, heads, S, d]
 * @param values [B, heads, S, d]
 * @param bias [B, S] added to every score of that key (large and negative: not attended), or null
 */
export function attentionPass(
  keep: Keep,
  queries: tf.Tensor,
  keys: tf.Tensor,
  values: tf.Tensor,
  bias: tf.Tensor2D | null,
): Pass<[tf.Tensor, tf.Tensor, tf.Tensor]> {
  const k = kernels();
  const scale = 1 / Math.sqrt(queries.shape[3] as number);
  const scaled = k.times(queries, scale);
  const weights = weightsOf(scaled, keys, bias);
  const y = k.products(weights, values, false, false);
  const [q0, k0, v0, w0, y0] = [keep(scaled), keep(keys), keep(values), keep(weights), keep(y)];
  return {
    y,
    back(dy) {
      // The sum of weights * (dy v') over the keys is that of dy * y over the channels, which are fewer.
      const total = k.sumLast(k.mul(dy, y0()));
      const dScores = k.mul(w0(), k.sub(k.products(dy, v0(), false, true), total));
      const dQueries = k.times(k.products(dScores, k0(), false, false), scale);
      return [dQueries, k.products(dScores, q0(), true, false), k.products(w0(), dy, true, false)];
    },
  };
}

/** What every query attends to, as {@link attentionPass} computes it. @returns [B, heads, T, S], rows sum to 1 */
export function attentionWeights(queries: tf.Tensor, keys: tf.Tensor, bias: tf.Tensor2D | null): tf.Tensor {
  return weightsOf(kernels().times(queries, 1 / Math.sqrt(queries.shape[3] as number)), keys, bias);
}

function weightsOf(scaled: tf.Tensor, keys: tf.Tensor, bias: tf.Tensor2D | null): tf.Tensor {
  const k = kernels();
  const scores = k.products(scaled, keys, false, true);
  if (bias === null) return k.softmax(scores);
  return k.softmax(k.add(scores, k.reshape(bias, [bias.shape[0], 1, 1, bias.shape[1]])));
}
