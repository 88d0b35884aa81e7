/**
 * `depthnet`: 128 x 128 pictures through eleven convolutions and average pooling down to one cell, then through seven
 * transposed convolutions, each doubling the map, back to a depth map. ReLU on the way down, leaky ReLU on the way up,
 * all weights from N(0, 0.02); L1 scaled by one over twice the mean of the pictures.
 *
 * Where the description is silent: 3 x 3 kernels down and 4 x 4 up, two convolutions at each of the four finest scales
 * and one below, no connection between the two halves, batch norm after every layer but the innermost and the last (as
 * the field does that starts from N(0, 0.02), Radford et al. 2016; without it nothing arrives at the one cell). It speaks of eleven poolings; seven reach one cell.
 */
import * as tf from "../engine/tf.ts";
import { type Batch, PIXEL_DEVIATION, PIXEL_MEAN } from "../preprocess/batch.ts";
import { DEPTH_OUTPUT, scaledTo, type ZooConfig } from "./parts.ts";

const DOWN = [[16, 16], [24, 24], [32, 32], [48, 48], [64], [64], [64]] as const;
const UP = [64, 64, 48, 32, 24, 16, 1] as const;
const DEVIATION = 0.02;
/** Mean below which pictures weigh no more. */
const DARKEST = 0.01;

/** 1 / (2 mean) of the batch's pictures in [0, 1]: dark pictures weigh more. */
export function scaleOfPictures({ rgb }: Batch): number {
  const sum = rgb.reduce((total, value) => total + value, 0);
  return 1 / (2 * Math.max((sum / rgb.length) * PIXEL_DEVIATION + PIXEL_MEAN, DARKEST));
}

export function buildDepthnet(config: ZooConfig): tf.LayersModel {
  const width = (filters: number) => scaledTo(config.model.preset, filters);
  const norm = (name: string) => tf.layers.batchNormalization({ name, momentum: 0.9 });
  const normal = () => tf.initializers.randomNormal({ mean: 0, stddev: DEVIATION });
  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });
  let x: tf.SymbolicTensor = rgb;
  const through = (layer: tf.layers.Layer) => {
    x = layer.apply(x) as tf.SymbolicTensor;
  };
  for (const [scale, widths] of DOWN.entries()) {
    for (const [i, filters] of widths.entries()) {
      through(
        tf.layers.conv2d({
          name: `down_${scale + 1}_${i + 1}`,
          filters: width(filters),
          kernelSize: 3,
          padding: "same",
          kernelInitializer: normal(),
        }),
      );
      if (scale < DOWN.length - 1) through(norm(`down_${scale + 1}_${i + 1}_norm`));
      through(tf.layers.reLU({ name: `down_${scale + 1}_${i + 1}_relu` }));
    }
    through(tf.layers.averagePooling2d({ name: `pool_${scale + 1}`, poolSize: 2, strides: 2 }));
  }
  for (const [i, filters] of UP.entries()) {
    const last = i === UP.length - 1;
    through(
      tf.layers.conv2dTranspose({
        name: last ? DEPTH_OUTPUT : `up_${i + 1}`,
        filters: last ? 1 : width(filters),
        kernelSize: 4,
        strides: 2,
        padding: "same",
        kernelInitializer: normal(),
      }),
    );
    if (!last) through(norm(`up_${i + 1}_norm`));
    if (!last) through(tf.layers.leakyReLU({ name: `up_${i + 1}_leaky`, alpha: 0.2 }));
  }
  return tf.model({ name: "depthnet", inputs: rgb, outputs: x });
}
