/** Small classifiers of pictures as `tf.LayersModel`s, and their weights as the flat params that federations exchange. */
import * as tf from "../../models/engine/tf.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import { layoutOf, tensorValues, type ParamLayout } from "../../shared/params/layout.ts";

/** Statistics of a federation that scores nothing. */
export const NO_STATISTICS = statisticsLayout({ detection: [], segmentation: [], scene: [], depth: { kind: "none" } });

export interface SmallCnn {
  /** Height, width, channels. */
  readonly input: readonly [number, number, number];
  /** Of each block: a 3x3 convolution and a max-pool of 2. */
  readonly filters: readonly number[];
  /** Units of the dense layers between the blocks and the classes. */
  readonly hidden: readonly number[];
  readonly classes: number;
  readonly seed: number;
}

/** Logits come out; every kernel begins with He's normal distribution. */
export function smallCnn({ input, filters, hidden, classes, seed }: SmallCnn): tf.LayersModel {
  const kernelInitializer = () => tf.initializers.heNormal({ seed });
  const blocks = filters.flatMap((count, i) => [
    tf.layers.conv2d({
      ...(i === 0 && { inputShape: [...input] }),
      filters: count,
      kernelSize: 3,
      padding: "same",
      activation: "relu",
      kernelInitializer: kernelInitializer(),
    }),
    tf.layers.maxPooling2d({ poolSize: 2 }),
  ]);
  return tf.sequential({
    layers: [
      ...blocks,
      tf.layers.flatten(),
      ...hidden.map((units) => tf.layers.dense({ units, activation: "relu", kernelInitializer: kernelInitializer() })),
      tf.layers.dense({ units: classes, kernelInitializer: kernelInitializer() }),
    ],
  });
}

export function weightsLayout(model: tf.LayersModel): ParamLayout {
  return layoutOf(model.weights.map((weight, index) => ({ name: `w${index}`, shape: weight.shape as number[] })));
}

export function readParams(model: tf.LayersModel, layout: ParamLayout): Float32Array {
  const params = new Float32Array(layout.length);
  model.weights.forEach((weight, index) => {
    const slot = layout.tensors[index];
    if (slot !== undefined) params.set(weight.read().dataSync(), slot.offset);
  });
  return params;
}

export function writeParams(model: tf.LayersModel, layout: ParamLayout, params: Float32Array): void {
  tf.tidy(() => {
    model.weights.forEach((weight, index) => {
      const slot = layout.tensors[index];
      if (slot !== undefined) weight.write(tf.tensor(tensorValues(params, slot), slot.shape as number[]));
    });
  });
}
