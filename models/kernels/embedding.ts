/** Rows of a table, with gradients by example where they are asked for. */
import * as tf from "../engine/tf.ts";
import { differentiable } from "./differentiable.ts";
import { exampleGradients } from "./examples.ts";

/**
 * @param table [R, C], a weight
 * @param rows [P], int32; equally many of each example, one example after the other
 * @returns [P, C]
 */
export function rowsOf(table: tf.Tensor2D, rows: tf.Tensor1D): tf.Tensor2D {
  const apart = exampleGradients();
  if (apart === null) return tf.gather(table, rows);
  const [count, channels] = table.shape;
  // Read now: the tensor may be gone when gradients are asked for.
  const which = rows.dataSync<"int32">();
  return differentiable([table], () => ({
    y: tf.gather(table, rows),
    back(dy) {
      const { examples } = apart;
      const each = which.length / examples;
      const own = tf.tensor1d(
        which.map((row, i) => Math.floor(i / each) * count + row),
        "int32",
      );
      const terms = tf.unsortedSegmentSum(dy, own, examples * count);
      return [apart.add(table, tf.reshape(terms, [examples, count, channels]))];
    },
  })) as tf.Tensor2D;
}
