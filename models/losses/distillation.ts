/**
 * What a student loses against a larger teacher's outputs for the same pictures (Hinton et al. 2015): the divergence of
 * the classes' probabilities, softened by a temperature, squared differences for depth, and for boxes the divergence of
 * the heat and squared differences of their sides where the teacher sees an object. Every cell counts; the gradients of
 * softened probabilities shrink with the temperature's square, so it is multiplied in.
 */
import type { OutputHead } from "../allulook4/build.ts";
import * as tf from "../engine/tf.ts";
import { kernels } from "../kernels/loaded.ts";

const TINY = 1e-7;

/** The loss of one head's output against the teacher's of the same shape. */
export function distillationLoss(
  head: OutputHead,
  student: tf.Tensor,
  teacher: tf.Tensor,
  temperature: number,
): tf.Scalar {
  if (head === "depth") return tf.mean(tf.squaredDifference(student, teacher));
  return head === "detection"
    ? boxDivergence(student as tf.Tensor4D, teacher as tf.Tensor4D, temperature)
    : classDivergence(student, teacher, temperature);
}

/**
 * T^2 KL(teacher || student), mean over cells.
 *
 * @param student logits [..., K], as the teacher's
 */
function classDivergence(student: tf.Tensor, teacher: tf.Tensor, temperature: number): tf.Scalar {
  const classes = student.shape.at(-1) as number;
  const cells = student.size / classes;
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const k = kernels();
    const soft = (logits: tf.Tensor) => k.softmax(k.times(k.reshape(logits, [cells, classes]), 1 / temperature));
    const [p, q] = [soft(teacher), soft(student)];
    const difference = k.sub(tf.log(tf.add(p, TINY)), tf.log(tf.add(q, TINY)));
    const sums = k.biasGradient(k.mul(p, difference)).dataSync<"float32">();
    const sum = sums.reduce((total, term) => total + term, 0);
    save([p, q]);
    return {
      value: tf.scalar((temperature ** 2 * sum) / cells) as tf.Tensor,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [p0, q0] = saved as [tf.Tensor, tf.Tensor];
        const factor = ((dy.dataSync()[0] as number) * temperature) / cells;
        return [k.reshape(k.mul(k.sub(q0, p0), tf.scalar(factor)), student.shape)];
      },
    };
  });
  return op(student) as tf.Scalar;
}

/**
 * T^2 KL of each cell's and class's probability of a centre, plus the squared difference of the sides' logarithms (mean
 * of the four) weighted by the teacher's highest heat; both as sum over the cells / the teacher's heat, at least 1.
 *
 * @param student [B, h, w, K + 4], as the teacher's
 */
function boxDivergence(student: tf.Tensor4D, teacher: tf.Tensor4D, temperature: number): tf.Scalar {
  const [batch, height, width, channels] = student.shape;
  const classes = channels - 4;
  const heat = (map: tf.Tensor4D) => tf.slice(map, [0, 0, 0, 0], [batch, height, width, classes]);
  const sides = (map: tf.Tensor4D) => tf.slice(map, [0, 0, 0, classes], [batch, height, width, 4]);
  const seen = tf.max(tf.sigmoid(heat(teacher)), -1, true);
  const total = tf.maximum(tf.sum(seen), 1);
  const t = tf.div(heat(teacher), temperature);
  const s = tf.div(heat(student), temperature);
  // KL of Bernoullis in logits: p (t - s) - softplus(t) + softplus(s).
  const divergence = tf.add(tf.mul(tf.sigmoid(t), tf.sub(t, s)), tf.sub(tf.softplus(s), tf.softplus(t)));
  const moved = tf.mul(tf.mean(tf.squaredDifference(sides(student), sides(teacher)), -1, true), seen);
  return tf.div(tf.add(tf.mul(tf.sum(divergence), temperature ** 2), tf.sum(moved)), total);
}
