/** Sum of rows by segment, which is the gradient of `gather`. */
import * as tf from "../tf.ts";

/**
 * y[s] = sum of the rows i of x with ids[i] = s, in order of i. Ids outside 0..segments-1 are left out.
 *
 * @param x [N..., D...]
 * @param ids [N...], int32
 * @returns [segments, D...]
 */
export function unsortedSegmentSum(x: tf.Tensor, ids: tf.Tensor, segments: number): tf.Tensor {
  const inner = x.shape.slice(ids.rank);
  const width = inner.reduce((product, extent) => product * extent, 1);
  const values = x.dataSync<"float32">();
  const sums = x.dtype === "int32" ? new Int32Array(segments * width) : new Float32Array(segments * width);
  ids.dataSync<"int32">().forEach((segment, row) => {
    if (segment < 0 || segment >= segments) return;
    for (let column = 0; column < width; column++) {
      sums[segment * width + column]! += values[row * width + column]!;
    }
  });
  return tf.tensor(sums, [segments, ...inner], x.dtype === "int32" ? "int32" : "float32");
}
