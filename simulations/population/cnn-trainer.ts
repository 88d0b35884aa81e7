/**
 * A small classifier on random pictures, as federated-learning comparisons use it: three 3x3 convolution and max-pool
 * blocks (16, 32, 64), dense 32, dense 10; 155k params. Measures the platform, learns nothing worth keeping.
 */
import type { Trainer, TrainingResult } from "../../client/training/trainer.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import * as tf from "../../models/engine/tf.ts";
import { layoutOf, tensorValues, type ParamLayout } from "../../shared/params/layout.ts";
import { Rng } from "../../shared/rng/rng.ts";

const SIZE = 64;
const CLASSES = 10;

export interface CnnSetting {
  readonly pictures: number;
  readonly batchSize: number;
  readonly epochs: number;
}

/** The network; every client of one process can share it, since params are set before each use. */
export function buildCnn(seed: number): tf.LayersModel {
  const kernelInitializer = () => tf.initializers.heNormal({ seed });
  const block = (filters: number, input: object) => [
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
  return tf.sequential({
    layers: [
      ...block(16, { inputShape: [SIZE, SIZE, 3] }),
      ...block(32, {}),
      ...block(64, {}),
      tf.layers.flatten(),
      tf.layers.dense({ units: 32, activation: "relu", kernelInitializer: kernelInitializer() }),
      tf.layers.dense({ units: CLASSES, kernelInitializer: kernelInitializer() }),
    ],
  });
}

export function cnnLayout(model: tf.LayersModel): ParamLayout {
  return layoutOf(model.weights.map((weight, index) => ({ name: `w${index}`, shape: weight.shape as number[] })));
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

export function readParams(model: tf.LayersModel, layout: ParamLayout): Float32Array {
  const params = new Float32Array(layout.length);
  model.weights.forEach((weight, index) => {
    const slot = layout.tensors[index];
    if (slot !== undefined) params.set(weight.read().dataSync(), slot.offset);
  });
  return params;
}

/** One client over a shared network. */
export function cnnTrainer(model: tf.LayersModel, setting: CnnSetting, seed: number): Trainer {
  const layout = cnnLayout(model);
  const data = randomPictures(setting.pictures, seed);
  const statistics = statisticsLayout({ detection: [], segmentation: [], scene: [], depth: { kind: "none" } });
  return {
    layout,
    examples: setting.pictures,
    evaluationExamples: 0,
    statistics,
    train: async ({ params, rng, signal }): Promise<TrainingResult> => {
      signal.throwIfAborted();
      tf.tidy(() => {
        model.weights.forEach((weight, index) => {
          const slot = layout.tensors[index];
          if (slot !== undefined) weight.write(tf.tensor(tensorValues(params, slot), slot.shape as number[]));
        });
      });
      const loss = trainPlain(model, data, setting, rng);
      const delta = readParams(model, layout);
      for (let i = 0; i < delta.length; i++) delta[i] = (delta[i] as number) - (params[i] as number);
      return { delta, examplesSeen: setting.pictures * setting.epochs, lossSum: loss, lossCount: 1 };
    },
    evaluate: () => Promise.resolve(new Float64Array(statistics.length)),
    dispose: () => tf.dispose([data.pictures, data.labels]),
  };
}
