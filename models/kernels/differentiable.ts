/**
 * Operations with gradients of our own, put together from passes that each know their way back. However many passes
 * one is made of, it is a single entry on TensorFlow.js's tape, whose bookkeeping costs as much as a small kernel.
 */
import * as tf from "../engine/tf.ts";

/** Keeps a tensor for the way back, where it is had by a call. */
export type Keep = (tensor: tf.Tensor) => () => tf.Tensor;

/** Of a pass whose way back is not taken. */
export const forget: Keep = (tensor) => () => tensor;

/** A value, and its gradient's way back: from the gradient with respect to it to those of the inputs, in order. */
export interface Pass<Gradients = tf.Tensor[]> {
  readonly y: tf.Tensor;
  back(dy: tf.Tensor): Gradients;
}

/** One differentiable operation of `inputs`. */
export function differentiable(inputs: readonly tf.Tensor[], pass: (keep: Keep) => Pass): tf.Tensor {
  const op = tf.customGrad((...args: unknown[]) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const kept: tf.Tensor[] = [];
    let restored: readonly tf.Tensor[] = [];
    const { y, back } = pass((tensor) => {
      const at = kept.push(tensor) - 1;
      return () => restored[at] as tf.Tensor;
    });
    save(kept);
    return {
      value: y,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        restored = saved;
        return back(dy);
      },
    };
  });
  return op(...inputs);
}

/**
 * Passes one after the other, each of the value of the one before.
 *
 * @returns the last value; gradients of x, then of every pass's own inputs but the first, in order
 */
export function sequence(x: tf.Tensor, ...passes: readonly ((x: tf.Tensor) => Pass)[]): Pass {
  let y = x;
  const made = passes.map((pass) => {
    const next = pass(y);
    y = next.y;
    return next;
  });
  return {
    y,
    back(dy) {
      let gradient = dy;
      const weights: tf.Tensor[] = [];
      for (const { back } of made.toReversed()) {
        const [first, ...own] = back(gradient);
        gradient = first as tf.Tensor;
        weights.unshift(...own);
      }
      return [gradient, ...weights];
    },
  };
}
