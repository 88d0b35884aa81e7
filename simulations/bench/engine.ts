/** GFLOP/s of the engine's convolution, the ceiling that training is measured against. */
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { median } from "./clock.ts";
import type { Figures } from "./suite.ts";

export async function engineConvolutions(): Promise<Figures> {
  const engine = await loadEngine();
  const input = tf.randomNormal<tf.Rank.R4>([8, 56, 56, 64], 0, 1, "float32", 1);
  const filter = tf.randomNormal<tf.Rank.R4>([3, 3, 64, 64], 0, 1, "float32", 2);
  const operations = 2 * 8 * 56 * 56 * 64 * 64 * 9;
  const forward = () => tf.tidy(() => void tf.conv2d(input, filter, 1, "same").dataSync());
  const backward = () =>
    tf.tidy(() => {
      const [dInput, dFilter] = tf.grads((x, f) => tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, "same").sum())([
        input,
        filter,
      ]);
      dInput?.dataSync();
      dFilter?.dataSync();
    });
  forward();
  backward();
  return {
    engine: engine.version,
    threads: engine.threads,
    forwardGFLOPs: operations / 1e9 / median(7, forward),
    trainingGFLOPs: (3 * operations) / 1e9 / median(7, backward),
  };
}
