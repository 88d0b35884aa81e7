/**
 * Cross-entropy and soft Dice (Milletari et al. 2016) on class shares, with the backward pass by hand. Cells whose
 * shares are all zero are unlabelled and count nowhere; Dice averages over the classes that the batch's labels hold.
 */
import * as tf from "../engine/tf.ts";

const SMOOTH = 1;
const TINY = 1e-7;

/**
 * @param logits [B, h, w, K]
 * @param shares [B * h * w, K]: share of each class in the cell, summing to at most 1
 * @param kinds the terms to add up
 * @returns scalar
 */
export function segmentationLoss(
  logits: tf.Tensor4D,
  shares: tf.Tensor2D,
  kinds: readonly ("crossEntropy" | "dice")[],
): tf.Scalar {
  const classes = logits.shape[3];
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const flat = tf.reshape(logits, [-1, classes]);
    const p = tf.softmax(flat) as tf.Tensor2D;
    const weight = tf.sum(shares, 1, true);
    const total = Math.max(tf.sum(weight).dataSync()[0] as number, 1);
    let loss: tf.Tensor = tf.scalar(0);
    if (kinds.includes("crossEntropy")) {
      loss = tf.sub(loss, tf.div(tf.sum(tf.mul(shares, tf.log(tf.add(p, TINY)))), total));
    }
    const dice = diceTerms(p, shares, weight);
    if (kinds.includes("dice")) loss = tf.add(loss, tf.scalar(dice.value));
    save([p, shares, weight]);
    return {
      value: loss,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p0, shares0, weight0] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        let gradient: tf.Tensor = tf.scalar(0);
        if (kinds.includes("crossEntropy")) {
          gradient = tf.div(tf.sub(tf.mul(weight0, p0), shares0), total);
        }
        if (kinds.includes("dice")) {
          const byProbability = tf.add(
            tf.mul(shares0, tf.tensor1d(dice.byShare)),
            tf.mul(weight0, tf.tensor1d(dice.byWeight)),
          );
          const inner = tf.sum(tf.mul(p0, byProbability), 1, true);
          gradient = tf.add(gradient, tf.mul(p0, tf.sub(byProbability, inner)));
        }
        return [tf.reshape(tf.mul(gradient, dy), logits.shape)];
      },
    };
  });
  return op(logits) as tf.Scalar;
}

/**
 * 1 - mean Dice, and its derivative: d/dp[cell, k] = share[cell, k] * byShare[k] + weight[cell] * byWeight[k].
 */
function diceTerms(p: tf.Tensor2D, shares: tf.Tensor2D, weight: tf.Tensor) {
  const overlap = tf.sum(tf.mul(p, shares), 0).dataSync<"float32">();
  const predicted = tf.sum(tf.mul(p, weight), 0).dataSync<"float32">();
  const truth = tf.sum(shares, 0).dataSync<"float32">();
  const classes = overlap.length;
  const present = truth.filter((area) => area > 0).length;
  const byShare = new Float32Array(classes);
  const byWeight = new Float32Array(classes);
  let value = 0;
  for (let k = 0; k < classes; k++) {
    if ((truth[k] as number) === 0) continue;
    const above = 2 * (overlap[k] as number) + SMOOTH;
    const below = (predicted[k] as number) + (truth[k] as number) + SMOOTH;
    value += (1 - above / below) / present;
    byShare[k] = -2 / below / present;
    byWeight[k] = above / below ** 2 / present;
  }
  return { value, byShare, byWeight };
}
