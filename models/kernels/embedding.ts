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
  return differentiable([table], () => ({
    y: tf.gather(table, rows),
    back(dy) {
      const { examples } = apart;
      const each = rows.size / examples;
      const first = Int32Array.from({ length: rows.size }, (_, i) => Math.floor(i / each) * count);
      const own = tf.add(rows, tf.tensor1d(first, "int32")) as tf.Tensor1D;
      const terms = tf.unsortedSegmentSum(dy, own, examples * count);
      return [apart.add(table, tf.reshape(terms, [examples, count, channels]))];
    },
  })) as tf.Tensor2D;
}
