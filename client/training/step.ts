/** One training step's loss and gradient over the flat vector of params, followed by the learned task weights. */
import type { ModelConfig } from "../../models/allulook4/build.ts";
import * as tf from "../../models/engine/tf.ts";
import { distillationLoss } from "../../models/losses/distillation.ts";
import { combineLosses, headLoss, TASKS } from "../../models/losses/multi-task.ts";
import type { Batch } from "../../models/preprocess/batch.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { TrainingStage } from "../../models/runnable.ts";
import type { Tutor } from "./tutor.ts";

/** Values behind the params in the flat vector: one log-variance per task where weights are learned, else none. */
export function uncertaintyCount(config: ModelConfig): number {
  return config.training.losses.weights === "learned" ? TASKS.length : 0;
}

/** Params and personal params: where the learned task weights begin. */
export function valuesCount({ layout, personal }: BuiltModel): number {
  return layout.length + personal.length;
}

/**
 * @param values params, personal ones, task weights; running means and variances among them are brought up to date
 * @param stage of a training in stages: its loss and its weights alone
 * @param tutor whose outputs for the same batch are learned, too
 * @returns the loss (0 for a batch without labels) and its gradient, as long as `values`
 */
export function lossAndGradient(
  built: BuiltModel,
  config: ModelConfig,
  values: Float32Array,
  batch: Batch,
  stage?: TrainingStage,
  tutor: Tutor | null = null,
): { loss: number; gradient: Float32Array } {
  const size = valuesCount(built);
  built.setValues(values);
  const gradient = new Float32Array(values.length);
  const { losses } = config.training;
  const learned = uncertaintyCount(config) > 0;
  const start = learned ? tf.tidy(() => tf.variable(tf.tensor1d(values.slice(size)))) : null;
  const trains = (weight: string) => stage === undefined || stage.trains(weight);
  const learns = built.variables(trains);
  let total = 0;
  try {
    // Nothing is returned from the scope: it would walk through every value of a typed array.
    tf.tidy(() => {
      let labelled = true;
      const taught = tutor?.model.forward(batch, false);
      const { value, grads } = tf.variableGrads(() => {
        if (stage !== undefined) {
          const loss = stage.loss(batch, losses);
          labelled = loss !== null;
          return loss ?? (tf.mul(tf.sum(learns[0] as tf.Variable), 0) as tf.Scalar);
        }
        const perHead = new Map<(typeof TASKS)[number], tf.Scalar>();
        const outputs = built.forward(batch, true);
        for (const [head, output] of outputs) {
          const loss = headLoss(head, output, batch.targets, losses);
          if (loss !== null) perHead.set(head, scaled(loss, batch.targets.factors?.[head]));
          const example = taught?.get(head);
          if (tutor === null || example === undefined) continue;
          const { temperature, weight } = tutor.settings;
          const distance = scaled(distillationLoss(head, output, example, temperature), weight);
          const hard = perHead.get(head);
          perHead.set(head, hard === undefined ? distance : tf.add(hard, distance));
        }
        labelled = perHead.size > 0;
        // Without a label there is nothing to learn, but still something to differentiate.
        if (!labelled) return tf.mul(tf.sum([...outputs.values()][0] as tf.Tensor), 0) as tf.Scalar;
        const penalties = built.penalties?.() ?? [];
        const combined = combineLosses(perHead, losses, start);
        const whole = scaled(combined, built.lossScale?.(batch));
        return penalties.reduce((sum, penalty) => tf.add(sum, penalty), whole);
      }, [...learns, ...(start === null ? [] : [start])]);
      built.writeStatistics(trains, values);
      if (!labelled) return;
      built.writeGradient(grads, gradient);
      const weights = start === null ? undefined : grads[start.name];
      if (weights != null) gradient.set(weights.dataSync<"float32">(), size);
      total = value.dataSync()[0] as number;
    });
    return { loss: total, gradient };
  } finally {
    start?.dispose();
  }
}

/** At params and personal ones, the sum of the heads' losses without a gradient and with fixed weights; null for a batch without labels. */
export function lossOf(built: BuiltModel, config: ModelConfig, values: Float32Array, batch: Batch): number | null {
  const { losses } = config.training;
  built.setValues(values);
  let total: number | null = null;
  tf.tidy(() => {
    const perHead = new Map<(typeof TASKS)[number], tf.Scalar>();
    for (const [head, output] of built.forward(batch, false)) {
      const loss = headLoss(head, output, batch.targets, losses);
      if (loss !== null) perHead.set(head, loss);
    }
    if (perHead.size > 0) total = combineLosses(perHead, losses, null).dataSync()[0] as number;
  });
  return total;
}

function scaled(loss: tf.Scalar, factor: number | undefined): tf.Scalar {
  return factor === undefined ? loss : tf.mul(loss, factor);
}
