/** The network that is attacked, 1,828 params: two 3x3 convolution and max-pool blocks (8, 16) and a dense layer. */
import type { Trainer, TrainingResult } from "../../client/training/trainer.ts";
import * as tf from "../../models/engine/tf.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import { layoutOf, tensorValues, type ParamLayout } from "../../shared/params/layout.ts";
import type { Rng } from "../../shared/rng/rng.ts";
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
    const kernelInitializer = () => tf.initializers.heNormal({ seed });
    const conv = (filters: number, input: object) => [
      tf.layers.conv2d({
        ...input,
        filters,
        kernelSize: 3,
        padding: "same",
        activation: "relu",
        kernelInitializer: kernelInitializer(),
      }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
    ];
    this.#model = tf.sequential({
      layers: [
        ...conv(8, { inputShape: [SIDE, SIDE, 1] }),
        ...conv(16, {}),
        tf.layers.flatten(),
        tf.layers.dense({ units: SHAPES.length, kernelInitializer: kernelInitializer() }),
      ],
    });
    const shapes = this.#model.weights.map((weight, i) => ({ name: `w${i}`, shape: weight.shape as number[] }));
    this.layout = layoutOf(shapes);
  }

  params(): Float32Array {
    const params = new Float32Array(this.layout.length);
    this.#model.weights.forEach((weight, i) => {
      params.set(weight.read().dataSync(), this.layout.tensors[i]?.offset ?? 0);
    });
    return params;
  }

  /** Plain SGD from `params` over batches drawn from `rng`; returns the change and the summed loss. */
  train(
    params: Float32Array,
    pictures: Pictures,
    local: LocalTraining,
    rng: Rng,
  ): { delta: Float32Array; loss: number } {
    this.#set(params);
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
    this.#set(params);
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

  #set(params: Float32Array): void {
    tf.tidy(() => {
      this.#model.weights.forEach((weight, i) => {
        const slot = this.layout.tensors[i];
        if (slot !== undefined) weight.write(tf.tensor(tensorValues(params, slot), slot.shape as number[]));
      });
    });
  }
}

/** A client of the shipped federation that trains the network on its pictures. */
export function pictureTrainer(network: Network, pictures: Pictures, local: LocalTraining): Trainer {
  const statistics = statisticsLayout({ detection: [], segmentation: [], scene: [], depth: { kind: "none" } });
  return {
    layout: network.layout,
    examples: pictures.count,
    evaluationExamples: 0,
    statistics,
    train: async ({ params, rng, signal }): Promise<TrainingResult> => {
      signal.throwIfAborted();
      const { delta, loss } = network.train(params, pictures, local, rng);
      return { delta, examplesSeen: local.steps * local.batchSize, lossSum: loss, lossCount: local.steps };
    },
    evaluate: async () => new Float64Array(statistics.length),
    dispose: () => {},
  };
}
