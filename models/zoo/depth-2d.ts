/**
 * `depth-2d`: eight 3 x 3 convolutions without padding, batch norm and ReLU after each, and one transposed convolution
 * that gives back the size they took. The description lists seven of the eight widths; 50 is repeated.
 *
 * `depth-2d-edges` is its two-stage form: a gradient network of the same shape learns the Sobel edges of the depth map;
 * then a second network, which gets the picture and, behind its first layer, what the gradient network puts out, learns
 * depth while the first stays as it is. See `stages.ts` for the order.
 *
 * Where it is silent: the last convolution has neither norm nor ReLU, since normalised depth is signed; the transposed
 * convolution is 17 x 17, as the eight together are; edges are those of normalised depth. One output sees 33 x 33
 * pixels: at the default size of 32 x 32 all of the picture, at the phone's 720 x 960 a corner of it.
 */
import * as tf from "../engine/tf.ts";
import { geometryOf } from "../preprocess/prepare.ts";
import { DEPTH_OUTPUT, scaledTo, type ZooConfig } from "./parts.ts";

const FILTERS = [50, 80, 120, 120, 80, 50, 50, 1] as const;
/** Names of the gradient network's layers and output start with this. */
export const EDGES_PREFIX = "edges_";
export const EDGES_OUTPUT = `${EDGES_PREFIX}map`;

export function buildDepth2d(config: ZooConfig): tf.LayersModel {
  const rgb = tf.input({ shape: [null, null, 3], name: "rgb" });
  return tf.model({ name: "depth-2d", inputs: rgb, outputs: network(config, "", DEPTH_OUTPUT, rgb, null) });
}

export function buildDepth2dEdges(config: ZooConfig): tf.LayersModel {
  // Cropping needs to know the size it crops.
  const { height, width } = geometryOf(config);
  const rgb = tf.input({ shape: [height, width, 3], name: "rgb" });
  const edges = network(config, EDGES_PREFIX, EDGES_OUTPUT, rgb, null);
  const depth = network(config, "", DEPTH_OUTPUT, rgb, edges);
  return tf.model({ name: "depth-2d-edges", inputs: rgb, outputs: [depth, edges] });
}

/** @param beside a map of the picture's size, concatenated behind the first layer; null: none */
function network(
  { model: { preset } }: ZooConfig,
  prefix: string,
  output: string,
  rgb: tf.SymbolicTensor,
  beside: tf.SymbolicTensor | null,
): tf.SymbolicTensor {
  let x = rgb;
  const through = (layer: tf.layers.Layer, inputs: tf.SymbolicTensor | tf.SymbolicTensor[] = x) => {
    x = layer.apply(inputs) as tf.SymbolicTensor;
  };
  for (const [i, filters] of FILTERS.entries()) {
    const last = i === FILTERS.length - 1;
    const name = `${prefix}convolution_${i + 1}`;
    const width = last ? 1 : scaledTo(preset, filters);
    through(tf.layers.conv2d({ name, filters: width, kernelSize: 3, useBias: last, kernelInitializer: "heNormal" }));
    if (last) continue;
    through(tf.layers.batchNormalization({ name: `${prefix}norm_${i + 1}`, momentum: 0.9 }));
    through(tf.layers.reLU({ name: `${prefix}relu_${i + 1}` }));
    if (i === 0 && beside !== null) {
      // The first layer took one pixel on each side.
      const cut = tf.layers.cropping2D({ name: `${prefix}edges_cut`, cropping: 1 }).apply(beside) as tf.SymbolicTensor;
      through(tf.layers.concatenate({ name: `${prefix}with_edges` }), [x, cut]);
    }
  }
  through(
    tf.layers.conv2dTranspose({
      name: output,
      filters: 1,
      kernelSize: 2 * FILTERS.length + 1,
      kernelInitializer: "glorotNormal",
    }),
  );
  return x;
}
