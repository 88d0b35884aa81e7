/**
 * A model of one's own: a small U-Net that outlines areas and estimates depth, made of TensorFlow.js layers alone.
 * Writes model.json; two-heads.yaml says what its inputs and outputs mean.
 */
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";

/** What `labels.segmentation` of the federation has. */
const CLASSES = 3;

function block(name: string, filters: number, input: tf.SymbolicTensor): tf.SymbolicTensor {
  const convolution = tf.layers.conv2d({ name, filters, kernelSize: 3, padding: "same", useBias: false });
  const norm = tf.layers.batchNormalization({ name: `${name}_norm`, momentum: 0.9 });
  const relu = tf.layers.reLU({ name: `${name}_relu` });
  return relu.apply(norm.apply(convolution.apply(input))) as tf.SymbolicTensor;
}

/** Sides are left open: the federation's `input.size` fills them in. */
function twoHeads(): tf.LayersModel {
  const picture = tf.input({ shape: [null, null, 3], name: "picture" });
  const skips: tf.SymbolicTensor[] = [];
  let x = picture;
  for (const [level, filters] of [16, 24, 32].entries()) {
    x = block(`down_${level}`, filters, x);
    skips.push(x);
    x = tf.layers.maxPooling2d({ name: `pool_${level}`, poolSize: 2 }).apply(x) as tf.SymbolicTensor;
  }
  x = block("bottom", 48, x);
  for (const [level, filters] of [...[16, 24, 32].entries()].reverse()) {
    const larger = tf.layers.upSampling2d({ name: `larger_${level}`, size: [2, 2] }).apply(x) as tf.SymbolicTensor;
    const both = tf.layers.concatenate({ name: `both_${level}` }).apply([larger, skips[level] as tf.SymbolicTensor]);
    x = block(`up_${level}`, filters, both as tf.SymbolicTensor);
  }
  const mask = tf.layers.conv2d({ name: "mask", filters: CLASSES, kernelSize: 1, activation: "softmax" }).apply(x);
  const distance = tf.layers.conv2d({ name: "distance", filters: 1, kernelSize: 1 }).apply(x);
  return tf.model({ name: "two_heads", inputs: picture, outputs: [mask, distance] as tf.SymbolicTensor[] });
}

/** With the weights left out, they come from the federation's seed. */
export function modelJson(): string {
  return `${JSON.stringify({ format: "layers-model", modelTopology: twoHeads().toJSON(null, false) })}\n`;
}

// Run by itself, not imported: the first argument is the file to write.
const [, script, file] = process.argv;
if (script !== undefined && file !== undefined && import.meta.url === pathToFileURL(script).href) {
  writeFileSync(file, modelJson());
}
