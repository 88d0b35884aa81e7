/** The network that is attacked, 1,828 params: two 3x3 convolution and max-pool blocks (8, 16) and a dense layer. */
import type { Trainer, TrainingResult } from "../../client/training/trainer.ts";
import * as tf from "../../models/engine/tf.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import { NO_STATISTICS, readParams, smallCnn, weightsLayout, writeParams } from "../population/small-cnn.ts";
import { SHAPES, SIDE, type Pictures } from "./pictures.ts";

export interface LocalTraining {
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

export class Network {
  readonly layout: ParamLayout;
  readonly #model: tf.LayersModel;

  constructor(seed: number) {
    this.#model = smallCnn({ input: [SIDE, SIDE, 1], filters: [8, 16], hidden: [], classes: SHAPES.length, seed });
    this.layout = weightsLayout(this.#model);
  }

  params(): Float32Array {
    return readParams(this.#model, this.layout);
  }

  /** Plain SGD from `params` over batches drawn from `rng`; returns the change and the summed loss. */
  train(
    params: Float32Array,
    pictures: Pictures,
    local: LocalTraining,
    rng: Rng,
  ): { delta: Float32Array; loss: number } {
    writeParams(this.#model, this.layout, params);
    const optimizer = tf.train.sgd(local.learningRate);
    let loss = 0;
    let queue: number[] = [];
    for (let step = 0; step < local.steps; step++) {
      while (queue.length < local.batchSize) queue.push(...rng.shuffled([...pictures.labels.keys()]));
      const chosen = queue.slice(0, local.batchSize);
      queue = queue.slice(local.batchSize);
      loss += tf.tidy(() => {
        const [x, y] = this.#tensors(pictures, chosen);
        const cost = optimizer.minimize(
          () => tf.losses.softmaxCrossEntropy(y, this.#model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar,
          true,
        );
        return cost?.dataSync()[0] ?? Number.NaN;
      });
    }
    optimizer.dispose();
    const after = this.params();
    return { delta: after.map((value, i) => value - (params[i] as number)), loss };
  }

  /** Share of the pictures to which these params give their label. */
  accuracy(params: Float32Array, pictures: Pictures): number {
    writeParams(this.#model, this.layout, params);
    const guesses = tf.tidy(() => {
      const [x] = this.#tensors(pictures, [...pictures.labels.keys()]);
      return (this.#model.apply(x) as tf.Tensor2D).argMax(1).dataSync();
    });
    return pictures.labels.filter((label, i) => label === guesses[i]).length / pictures.count;
  }

  dispose(): void {
    this.#model.dispose();
  }

  #tensors(pictures: Pictures, chosen: readonly number[]): [tf.Tensor4D, tf.Tensor2D] {
    const size = SIDE * SIDE;
    const values = new Float32Array(chosen.length * size);
    for (const [at, i] of chosen.entries()) values.set(pictures.values.subarray(i * size, (i + 1) * size), at * size);
    const labels = tf.tensor1d(
      Int32Array.from(chosen, (i) => pictures.labels[i] as number),
      "int32",
    );
    return [
      tf.tensor4d(values, [chosen.length, SIDE, SIDE, 1]),
      tf.oneHot(labels, SHAPES.length).toFloat() as tf.Tensor2D,
    ];
  }
}

/** A client of the shipped federation that trains the network on its pictures. */
export function pictureTrainer(network: Network, pictures: Pictures, local: LocalTraining): Trainer {
  return {
    layout: network.layout,
    examples: pictures.count,
    evaluationExamples: 0,
    statistics: NO_STATISTICS,
    train: async ({ params, rng, signal }): Promise<TrainingResult> => {
      signal.throwIfAborted();
      const { delta, loss } = network.train(params, pictures, local, rng);
      return { delta, examplesSeen: local.steps * local.batchSize, lossSum: loss, lossCount: local.steps };
    },
    evaluate: async () => new Float64Array(NO_STATISTICS.length),
    dispose: () => {},
  };
}
