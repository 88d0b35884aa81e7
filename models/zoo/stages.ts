/**
 * Training in two stages, for `depth-2d-edges`: in the first half of a federation's rounds the gradient network alone
 * learns the Sobel edges of the depth map, in the second half the other network learns depth with those edges at hand.
 * Each stage changes its own weights only; both are averaged all the time.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import * as tf from "../engine/tf.ts";
import { headLoss } from "../losses/multi-task.ts";
import type { Batch } from "../preprocess/batch.ts";
import type { TrainingStage } from "../runnable.ts";
import { EDGES_OUTPUT, EDGES_PREFIX } from "./depth-2d.ts";
import { DEPTH_OUTPUT } from "./parts.ts";

type Losses = FederationConfig["training"]["losses"];

/** Share of the training that goes to the edges. */
const FIRST = 0.5;

/** The stages of a model that {@link buildDepth2dEdges} has built. */
export function edgeStages(model: tf.LayersModel): (progress: number) => TrainingStage {
  const output = (name: string) => model.outputs[model.outputNames.indexOf(name)] as tf.SymbolicTensor;
  // The same layers: without those that the edges do not need.
  const edges = tf.model({ inputs: model.inputs, outputs: output(EDGES_OUTPUT) });
  const depth = tf.model({ inputs: model.inputs, outputs: output(DEPTH_OUTPUT) });
  const run = (part: tf.LayersModel, { rgb, size, geometry }: Batch) =>
    part.apply(tf.tensor4d(rgb, [size, geometry.height, geometry.width, 3]), { training: true }) as tf.Tensor4D;
  const first: TrainingStage = {
    trains: (name) => name.startsWith(EDGES_PREFIX),
    loss: (batch) => edgeLoss(run(edges, batch), batch),
  };
  const second: TrainingStage = {
    trains: (name) => !name.startsWith(EDGES_PREFIX),
    loss: (batch, losses: Losses) => {
      if (!batch.targets.depthWeight.some((weight) => weight > 0)) return null;
      return headLoss("depth", run(depth, batch), batch.targets, losses);
    },
  };
  return (progress) => (progress < FIRST ? first : second);
}

/** Mean squared error of the predicted edges, where all nine depths of a cell's neighbourhood are known. */
function edgeLoss(prediction: tf.Tensor4D, { targets }: Batch): tf.Scalar | null {
  const [batch, height, width] = prediction.shape;
  const { values, weight } = sobelEdges(targets.depth, targets.depthWeight, batch, height, width);
  const known = weight.reduce((sum, one) => sum + one, 0);
  if (known === 0) return null;
  const error = tf.sub(tf.reshape(prediction, [-1]), tf.tensor1d(values));
  return tf.div(tf.sum(tf.mul(tf.square(error), tf.tensor1d(weight))), known);
}

/**
 * Magnitude of the Sobel gradient of maps [batch, height, width].
 *
 * @returns `weight` is 1 where the 3 x 3 cells around are all known, 0 elsewhere and on the border
 */
export function sobelEdges(
  depth: Float32Array,
  known: Float32Array,
  batch: number,
  height: number,
  width: number,
): { values: Float32Array; weight: Float32Array } {
  const values = new Float32Array(depth.length);
  const weight = new Float32Array(depth.length);
  for (let b = 0; b < batch; b++) {
    for (let y = 1; y < height - 1; y++) {
      for (let x = 1; x < width - 1; x++) {
        const at = (b * height + y) * width + x;
        let across = 0;
        let down = 0;
        let whole = true;
        for (let v = -1; v <= 1; v++) {
          for (let u = -1; u <= 1; u++) {
            const cell = at + v * width + u;
            if ((known[cell] as number) <= 0) whole = false;
            across += u * (v === 0 ? 2 : 1) * (depth[cell] as number);
            down += v * (u === 0 ? 2 : 1) * (depth[cell] as number);
          }
        }
        if (!whole) continue;
        values[at] = Math.hypot(across, down);
        weight[at] = 1;
      }
    }
  }
  return { values, weight };
}
