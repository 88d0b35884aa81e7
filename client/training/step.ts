/** One training step's loss and gradient over the flat vector of params, followed by the learned task weights. */
import type { ModelConfig } from "../../models/allulook4/build.ts";
import { forward } from "../../models/allulook4/forward.ts";
import * as tf from "../../models/engine/tf.ts";
import { combineLosses, headLoss, TASKS } from "../../models/losses/multi-task.ts";
import type { Batch } from "../../models/preprocess/batch.ts";
import type { BuiltModel } from "../../models/registry.ts";

/** Values behind the params in the flat vector: one log-variance per task where weights are learned, else none. */
export function uncertaintyCount(config: ModelConfig): number {
  return config.training.losses.weights === "learned" ? TASKS.length : 0;
}

/**
 * @param values params, then the task weights
 * @returns the loss (0 for a batch without labels) and its gradient, as long as `values`
 */
export function lossAndGradient(
  built: BuiltModel,
  config: ModelConfig,
  values: Float32Array,
  batch: Batch,
): { loss: number; gradient: Float32Array } {
  const { layout, variables, model } = built;
  built.setParams(values.subarray(0, layout.length));
  const gradient = new Float32Array(values.length);
  const { losses } = config.training;
  const learned = uncertaintyCount(config) > 0;
  const start = learned ? tf.tidy(() => tf.variable(tf.tensor1d(values.slice(layout.length)))) : null;
  let total = 0;
  try {
    // Nothing is returned from the scope: it would walk through every value of a typed array.
    tf.tidy(() => {
      let labelled = true;
      const { value, grads } = tf.variableGrads(() => {
        const perHead = new Map<(typeof TASKS)[number], tf.Scalar>();
        const outputs = forward(model, batch, true);
        for (const [head, output] of outputs) {
          const loss = headLoss(head, output, batch.targets, losses);
          if (loss !== null) perHead.set(head, loss);
        }
        labelled = perHead.size > 0;
        // Without a label there is nothing to learn, but still something to differentiate.
        if (!labelled) return tf.mul(tf.sum([...outputs.values()][0] as tf.Tensor), 0) as tf.Scalar;
        return combineLosses(perHead, losses, start);
      }, [...variables, ...(start === null ? [] : [start])]);
      if (!labelled) return;
      for (const [i, slot] of layout.tensors.entries()) {
        const found = grads[(variables[i] as tf.Variable).name];
        if (found != null) gradient.set(found.dataSync<"float32">(), slot.offset);
      }
      const weights = start === null ? undefined : grads[start.name];
      if (weights != null) gradient.set(weights.dataSync<"float32">(), layout.length);
      total = value.dataSync()[0] as number;
    });
    return { loss: total, gradient };
  } finally {
    start?.dispose();
  }
}
