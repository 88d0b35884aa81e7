/** Runs the same computation on every engine that this machine has. */
import { loadEngine, type Backend } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";

/** The engines of this machine, plain JavaScript last: it is the slow twin of the others. */
export async function availableEngines(): Promise<Backend[]> {
  const found: Backend[] = [];
  for (const backend of ["tensorflow", "wasm", "cpu"] as const) {
    const { backend: got, reason } = await loadEngine({ prefer: backend });
    if (got === backend) found.push(backend);
    else process.stderr.write(`skipped on ${backend}: ${reason}\n`);
  }
  return found;
}

/** Computes on one engine and returns the values; leaves no tensor behind, and fails if `compute` did. */
export async function computeOn(backend: Backend, compute: () => tf.Tensor): Promise<Float32Array> {
  await tf.setBackend(backend);
  const before = tf.memory().numTensors;
  const result = tf.tidy(compute);
  const values = Float32Array.from(result.dataSync());
  result.dispose();
  if (tf.memory().numTensors !== before) throw new Error(`${tf.memory().numTensors - before} tensors leaked`);
  return values;
}

/** Largest difference of two vectors, relative to the largest value of the second (at least 1). */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) throw new Error(`${got.length} values, expected ${expected.length}`);
  let scale = 1;
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - expected[i]!);
    // A NaN is as wrong as can be, but no comparison finds it.
    worst = Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return worst / scale;
}
