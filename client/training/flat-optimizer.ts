/**
 * Any TensorFlow.js optimizer on one flat variable: one update of 12 kernels instead of one per weight, and the vector
 * is what the federation sends anyway. Its whole state can be taken out and put back, to the bit.
 */
import * as tf from "../../models/engine/tf.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";

type Settings = FederationConfig["training"]["optimizer"];

const MOMENTUM = 0.9;

const OPTIMIZERS: Readonly<Record<Settings["name"], (settings: Settings) => tf.Optimizer>> = {
  sgd: ({ learningRate }) => tf.train.sgd(learningRate),
  momentum: ({ learningRate, momentum = MOMENTUM }) => tf.train.momentum(learningRate, momentum),
  adam: ({ learningRate }) => tf.train.adam(learningRate),
  adamax: ({ learningRate }) => tf.train.adamax(learningRate),
  rmsprop: ({ learningRate }) => tf.train.rmsprop(learningRate),
  adagrad: ({ learningRate }) => tf.train.adagrad(learningRate),
  adadelta: ({ learningRate }) => tf.train.adadelta(learningRate),
};

/** What an optimizer remembers: one vector per accumulator, and its scalars. */
export interface OptimizerState {
  readonly vectors: Readonly<Record<string, Float32Array>>;
  readonly scalars: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
}

/** Private fields of the tfjs optimizers; each has some of them. */
const ACCUMULATORS = [
  "accumulations",
  "accumulatedFirstMoment",
  "accumulatedSecondMoment",
  "accumulatedWeightedInfNorm",
  "accumulatedMeanSquares",
  "accumulatedMoments",
  "accumulatedMeanGrads",
  "accumulatedGrads",
  "accumulatedUpdates",
] as const;
const SCALARS = ["accBeta1", "accBeta2", "iteration"] as const;
const COUNTERS = ["iterations_"] as const;

interface Slot {
  originalName: string;
  variable: tf.Variable;
}

export class FlatOptimizer {
  readonly #values: tf.Variable;
  readonly #optimizer: tf.Optimizer;
  readonly #settings: Settings;

  constructor(settings: Settings, initial: Float32Array) {
    this.#settings = settings;
    this.#optimizer = OPTIMIZERS[settings.name](settings);
    const start = tf.tensor1d(initial.slice());
    this.#values = tf.variable(start);
    start.dispose();
  }

  /** One step against the gradient; `done` is the share of the round's steps before it, in [0, 1). */
  apply(gradient: Float32Array, done: number): void {
    const { learningRate, decay } = this.#settings;
    this.#setLearningRate(learningRate * (1 - decay * done));
    tf.tidy(() => {
      this.#optimizer.applyGradients({ [this.#values.name]: tf.tensor1d(gradient) });
    });
  }

  #setLearningRate(learningRate: number): void {
    const optimizer = this.#optimizer as unknown as {
      learningRate: number;
      setLearningRate?: (value: number) => void;
    };
    // SGD and momentum hold it in a tensor, the others read the field at each step.
    if (optimizer.setLearningRate === undefined) optimizer.learningRate = learningRate;
    else optimizer.setLearningRate(learningRate);
  }

  /** A copy of the current values. */
  values(): Float32Array {
    return this.#values.dataSync<"float32">().slice();
  }

  save(): OptimizerState {
    const inside = this.#optimizer as unknown as Record<string, unknown>;
    const vectors: Record<string, Float32Array> = {};
    const scalars: Record<string, number> = {};
    const counters: Record<string, number> = {};
    for (const name of ACCUMULATORS) {
      const slot = (inside[name] as Slot[] | undefined)?.[0];
      if (slot !== undefined) vectors[name] = slot.variable.dataSync<"float32">().slice();
    }
    for (const name of SCALARS) {
      if (inside[name] instanceof tf.Tensor) scalars[name] = inside[name].dataSync()[0] as number;
    }
    for (const name of COUNTERS) {
      if (typeof inside[name] === "number") counters[name] = inside[name];
    }
    return { vectors, scalars, counters };
  }

  restore(values: Float32Array, state: OptimizerState): void {
    tf.tidy(() => this.#values.assign(tf.tensor1d(values.slice())));
    const inside = this.#optimizer as unknown as Record<string, unknown>;
    for (const [name, vector] of Object.entries(state.vectors)) {
      const variable = tf.tidy(() => tf.variable(tf.tensor1d(vector.slice()), false));
      inside[name] = [{ originalName: `${this.#values.name}/${name}`, variable } satisfies Slot];
    }
    for (const [name, value] of Object.entries(state.scalars)) {
      tf.tidy(() => (inside[name] as tf.Variable).assign(tf.scalar(value)));
    }
    Object.assign(inside, state.counters);
  }

  dispose(): void {
    const inside = this.#optimizer as unknown as Record<string, unknown>;
    for (const name of ACCUMULATORS) {
      for (const slot of (inside[name] as Slot[] | undefined) ?? []) slot.variable.dispose();
    }
    for (const name of [...SCALARS, "c", "m"]) {
      if (inside[name] instanceof tf.Tensor && !inside[name].isDisposed) inside[name].dispose();
    }
    this.#values.dispose();
  }
}
