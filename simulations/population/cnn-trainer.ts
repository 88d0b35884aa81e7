/**
 * A small classifier on random pictures, as federated-learning comparisons use it: three 3x3 convolution and max-pool
 * blocks (16, 32, 64), dense 32, dense 10; 155k params. Measures the platform, learns nothing worth keeping.
 */
import type { Trainer, TrainingResult } from "../../client/training/trainer.ts";
import * as tf from "../../models/engine/tf.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { NO_STATISTICS, readParams, smallCnn, weightsLayout, writeParams } from "./small-cnn.ts";

const SIZE = 64;
const CLASSES = 10;

export interface CnnSetting {
  readonly pictures: number;
  readonly batchSize: number;
  readonly epochs: number;
}

/** The network; every client of one process can share it, since params are set before each use. */
export function buildCnn(seed: number): tf.LayersModel {
  return smallCnn({ input: [SIZE, SIZE, 3], filters: [16, 32, 64], hidden: [32], classes: CLASSES, seed });
}

export interface CnnData {
  readonly pictures: tf.Tensor4D;
  readonly labels: tf.Tensor2D;
}

export function randomPictures(count: number, seed: number): CnnData {
  const rng = Rng.of(seed, "cnn-data");
  const classes = Int32Array.from({ length: count }, () => rng.below(CLASSES));
  return {
    pictures: tf.randomUniform<tf.Rank.R4>([count, SIZE, SIZE, 3], 0, 1, "float32", seed + 1),
    labels: tf.oneHot(tf.tensor1d(classes, "int32"), CLASSES).toFloat() as tf.Tensor2D,
  };
}

/** The training loop alone: what federated training is compared with. Returns the loss of the last step. */
export function trainPlain(model: tf.LayersModel, data: CnnData, setting: CnnSetting, rng: Rng): number {
  const optimizer = tf.train.sgd(0.01);
  let last = 0;
  for (let epoch = 0; epoch < setting.epochs; epoch++) {
    const order = rng.shuffled(Array.from({ length: setting.pictures }, (_, index) => index));
    for (let at = 0; at + setting.batchSize <= setting.pictures; at += setting.batchSize) {
      last = tf.tidy(() => {
        const chosen = tf.tensor1d(order.slice(at, at + setting.batchSize), "int32");
        const cost = optimizer.minimize(
          () =>
            tf.losses.softmaxCrossEntropy(
              data.labels.gather(chosen),
              model.apply(data.pictures.gather(chosen), { training: true }) as tf.Tensor,
            ) as tf.Scalar,
          true,
        );
        return cost?.dataSync()[0] ?? Number.NaN;
      });
    }
  }
  optimizer.dispose();
  return last;
}

/** One client over a shared network. */
export function cnnTrainer(model: tf.LayersModel, setting: CnnSetting, seed: number): Trainer {
  const layout = weightsLayout(model);
  const data = randomPictures(setting.pictures, seed);
  return {
    layout,
    examples: setting.pictures,
    evaluationExamples: 0,
    statistics: NO_STATISTICS,
    train: async ({ params, rng, signal }): Promise<TrainingResult> => {
      signal.throwIfAborted();
      writeParams(model, layout, params);
      const loss = trainPlain(model, data, setting, rng);
      const delta = readParams(model, layout);
      for (let i = 0; i < delta.length; i++) delta[i] = (delta[i] as number) - (params[i] as number);
      return { delta, examplesSeen: setting.pictures * setting.epochs, lossSum: loss, lossCount: 1 };
    },
    evaluate: () => Promise.resolve(new Float64Array(NO_STATISTICS.length)),
    dispose: () => tf.dispose([data.pictures, data.labels]),
  };
}
