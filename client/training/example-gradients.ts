/**
 * The gradient of every example of a batch by itself, for DP-SGD (Abadi et al. 2016). Where all of a model's weights lie in
 * passes that can tell the examples apart, by one pass there and back (models/kernels/examples.ts); else one example
 * after the other. docs/decisions/dp-sgd.md has the times.
 */
import type { ModelConfig } from "../../models/allulook4/build.ts";
import * as tf from "../../models/engine/tf.ts";
import { noteExamples, type ExampleGradients } from "../../models/kernels/examples.ts";
import { combineLosses, headLoss, TASKS } from "../../models/losses/multi-task.ts";
import type { Batch } from "../../models/preprocess/batch.ts";
import { examplesOf } from "../../models/preprocess/split-batch.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { TrainingStage } from "../../models/runnable.ts";
import { lossAndGradient, uncertaintyCount, valuesCount } from "./step.ts";

export interface ExampleGradient {
  /** 0 for an example without labels. */
  readonly loss: number;
  /** As long as the values. */
  readonly gradient: Float32Array;
}

/** Models with weights that no pass tells apart. */
const indivisible = new WeakSet<BuiltModel>();

/** Whether the examples of this model are told apart in one pass, as far as is known. */
export function comeApart(built: BuiltModel): boolean {
  return !indivisible.has(built);
}

/** @param values params, personal ones, task weights */
export function exampleGradients(
  built: BuiltModel,
  config: ModelConfig,
  values: Float32Array,
  batch: Batch,
  stage?: TrainingStage,
): ExampleGradient[] {
  if (batch.size > 1 && stage === undefined && built.penalties === undefined && !indivisible.has(built)) {
    const together = inOnePass(built, config, values, batch);
    if (together !== null) return together;
    indivisible.add(built);
  }
  return oneByOne(built, config, values, batch, stage);
}

/** The plain way, which the other is checked against. */
export function oneByOne(
  built: BuiltModel,
  config: ModelConfig,
  values: Float32Array,
  batch: Batch,
  stage?: TrainingStage,
): ExampleGradient[] {
  return examplesOf(batch).map((example) => lossAndGradient(built, config, values, example, stage));
}

/** Null where a weight's gradient cannot be told apart. */
function inOnePass(
  built: BuiltModel,
  config: ModelConfig,
  values: Float32Array,
  batch: Batch,
): ExampleGradient[] | null {
  const size = valuesCount(built);
  const learned = uncertaintyCount(config) > 0;
  built.setValues(values);
  const examples = examplesOf(batch);
  const gradients = examples.map(() => new Float32Array(values.length));
  const losses = new Float64Array(examples.length);
  let complete = true;
  tf.tidy(() => {
    const weights = learned ? tf.tensor1d(values.slice(size)) : null;
    const { value: grads, noted } = noteExamples(examples.length, () => {
      const run = () => sumOfLosses(built, config, batch, examples, weights, { losses, gradients, size });
      return tf.variableGrads(
        run,
        built.variables(() => true),
      ).grads;
    });
    try {
      complete = Object.entries(grads).every(([name, whole]) => whole === null || noted.of(name) !== undefined);
      if (complete) writeApart(built, grads, noted, gradients);
    } finally {
      noted.dispose();
    }
  });
  return complete ? gradients.map((gradient, i) => ({ loss: losses[i] as number, gradient })) : null;
}

interface Noted {
  readonly losses: Float64Array;
  readonly gradients: readonly Float32Array[];
  /** Where the task weights begin. */
  readonly size: number;
}

/** The sum of the examples' losses; theirs apart, and their derivatives by the task weights, go to `out`. */
function sumOfLosses(
  built: BuiltModel,
  config: ModelConfig,
  batch: Batch,
  examples: readonly Batch[],
  weights: tf.Tensor1D | null,
  out: Noted,
): tf.Scalar {
  const outputs = [...built.forward(batch, true)].map(
    ([head, output]) => [head, tf.split(output, examples.length, 0)] as const,
  );
  const logarithms = weights?.dataSync<"float32">();
  const terms = examples.map((example, i) => {
    const perHead = new Map<(typeof TASKS)[number], tf.Scalar>();
    for (const [head, parts] of outputs) {
      const loss = headLoss(head, parts[i] as tf.Tensor, example.targets, config.training.losses);
      if (loss === null) continue;
      perHead.set(head, loss);
      const task = TASKS.indexOf(head);
      // Of exp(-s) L + s.
      if (logarithms !== undefined) {
        const slope = 1 - Math.exp(-(logarithms[task] as number)) * (loss.dataSync()[0] as number);
        (out.gradients[i] as Float32Array)[out.size + task] = slope;
      }
    }
    // Without a label there is nothing to learn, but still something to differentiate.
    if (perHead.size === 0) return tf.mul(tf.sum(outputs[0]?.[1][i] as tf.Tensor), 0) as tf.Scalar;
    const combined = combineLosses(perHead, config.training.losses, weights);
    const scale = built.lossScale?.(example);
    const loss = scale === undefined ? combined : (tf.mul(combined, scale) as tf.Scalar);
    out.losses[i] = loss.dataSync()[0] as number;
    return loss;
  });
  return tf.addN(terms) as tf.Scalar;
}

function writeApart(
  built: BuiltModel,
  grads: tf.NamedTensorMap,
  noted: ExampleGradients,
  out: readonly Float32Array[],
): void {
  const apart = Object.keys(grads).flatMap((name) => {
    const terms = noted.of(name);
    return terms === undefined ? [] : [[name, tf.unstack(terms)] as const];
  });
  for (const [i, gradient] of out.entries()) {
    built.writeGradient(Object.fromEntries(apart.map(([name, terms]) => [name, terms[i] as tf.Tensor])), gradient);
  }
}
