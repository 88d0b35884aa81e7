/**
 * Cross-entropy, focal loss (Lin et al. 2017, gamma 2) and soft Dice (Milletari et al. 2016) on class shares, with the
 * backward pass by hand. Cells whose shares are all zero are unlabelled and count nowhere; Dice averages over the
 * classes that the batch's labels hold.
 */
import * as tf from "../engine/tf.ts";
import { kernels } from "../kernels/loaded.ts";

const SMOOTH = 1;
const TINY = 1e-7;

/**
 * @param logits [B, h, w, K]
 * @param shares [B * h * w, K]: share of each class in the cell, summing to at most 1
 * @param kinds the terms to add up
 * @returns scalar
 */
export function segmentationLoss(logits: tf.Tensor4D, shares: tf.Tensor2D, kinds: readonly string[]): tf.Scalar {
  const classes = logits.shape[3];
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const k = kernels();
    const sumByClass = (x: tf.Tensor) => k.biasGradient(x).dataSync<"float32">();
    const p = k.softmax(k.reshape(logits, [-1, classes]));
    const truth = sumByClass(shares);
    const total = Math.max(sumOf(truth), 1);
    const dice = diceTerms(k.matMul(p, shares, true, false).dataSync<"float32">(), truth);
    const logarithm = tf.log(tf.add(p, TINY));
    let loss = 0;
    if (kinds.includes("crossEntropy")) loss -= sumOf(sumByClass(k.mul(shares, logarithm))) / total;
    if (kinds.includes("focal")) {
      loss -= sumOf(sumByClass(k.mul(shares, k.mul(tf.square(tf.sub(1, p)), logarithm)))) / total;
    }
    if (kinds.includes("dice")) loss += dice.value;
    save([p, shares]);
    return {
      value: tf.scalar(loss) as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p0, shares0] = saved as [tf.Tensor2D, tf.Tensor2D];
        const factor = dy.dataSync()[0] as number;
        // Derivatives by probabilities, times the probabilities.
        const terms: tf.Tensor[] = [];
        if (kinds.includes("crossEntropy")) terms.push(k.mul(shares0, tf.scalar(-factor / total)));
        if (kinds.includes("dice")) {
          const mix = tf.tensor2d(
            dice.mix.map((value) => value * factor),
            [classes, classes],
          );
          terms.push(k.mul(p0, k.matMul(shares0, mix, false, false)));
        }
        if (kinds.includes("focal")) {
          terms.push(k.mul(p0, focalByProbability(p0, shares0, total / factor)));
        }
        if (terms.length === 0) return [tf.zerosLike(logits)];
        // Through softmax: each cell's sum, times the probability, is taken off. A product adds up and spreads at once.
        const inner = k.total(terms);
        const sums = k.matMul(inner, tf.ones([classes, classes]), false, false);
        return [k.reshape(k.sub(inner, k.mul(p0, sums)), logits.shape)];
      },
    };
  });
  return op(logits) as tf.Scalar;
}

/** Of -(1 - p)^2 ln p, times the share. */
function focalByProbability(p: tf.Tensor2D, shares: tf.Tensor2D, total: number): tf.Tensor {
  const q = tf.sub(1, p);
  const safe = tf.add(p, TINY);
  return tf.mul(tf.div(shares, total), tf.sub(tf.mul(tf.mul(q, tf.log(safe)), 2), tf.div(tf.square(q), safe)));
}

/**
 * 1 - mean Dice, and its derivative by p[cell, k], which is linear in the cell's shares: the sum over j of
 * share[cell, j] * mix[j, k].
 *
 * @param meeting [K, K], sum over cells of p[cell, k] * share[cell, j]
 * @param truth [K], sum over cells of the shares
 */
function diceTerms(meeting: Float32Array, truth: Float32Array) {
  const classes = truth.length;
  const present = truth.filter((area) => area > 0).length;
  const mix = new Float32Array(classes * classes);
  let value = 0;
  for (let k = 0; k < classes; k++) {
    if ((truth[k] as number) === 0) continue;
    const above = 2 * (meeting[k * classes + k] as number) + SMOOTH;
    const predicted = sumOf(meeting.subarray(k * classes, (k + 1) * classes));
    const below = predicted + (truth[k] as number) + SMOOTH;
    value += (1 - above / below) / present;
    for (let j = 0; j < classes; j++) mix[j * classes + k] = above / below ** 2 / present;
    mix[k * classes + k] = (mix[k * classes + k] as number) - 2 / below / present;
  }
  return { value, mix };
}

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
