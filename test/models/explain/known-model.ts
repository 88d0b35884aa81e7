/** A model whose reasons are known: the scene's second logit is a weighted sum of the picture's values, and nothing else. */
import { plainView } from "../../../models/preprocess/augment.ts";
import { type Batch, renderBatch } from "../../../models/preprocess/batch.ts";
import { prepareSample } from "../../../models/preprocess/prepare.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import * as tf from "../../../models/engine/tf.ts";
import { type BuiltModel, openModel } from "../../../models/registry.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import type { OwnModel } from "../../../shared/config/own-model.ts";
import { testConfig } from "../synthetic-samples.ts";

export const SIDE = 32;

/** A user's own model of these outputs, for pictures of 32 x 32. */
export function ownConfig(model: tf.LayersModel, outputs: OwnModel["outputs"], labels: object): FederationConfig {
  const topology = model.toJSON(null, false) as unknown as OwnModel["topology"];
  model.dispose();
  const own: OwnModel = {
    topology,
    inputs: { picture: { modality: "rgb", values: "normalised" } },
    outputs,
    weights: null,
  };
  return testConfig({
    model: { name: "known", init: "known.yaml", own },
    labels: { depth: { kind: "none" }, ...labels },
    input: { size: [SIDE, SIDE], modalities: ["rgb"] },
  });
}

/** `weightAt`: of the value at this row, column and channel. */
export async function knownModel(
  weightAt: (row: number, column: number, channel: number) => number,
): Promise<{ built: BuiltModel; config: FederationConfig }> {
  const picture = tf.input({ shape: [SIDE, SIDE, 3], name: "picture" });
  const flat = tf.layers.flatten({ name: "flat" }).apply(picture) as tf.SymbolicTensor;
  const scene = tf.layers.dense({ name: "scene", units: 2, useBias: false }).apply(flat) as tf.SymbolicTensor;
  const graph = tf.model({ inputs: picture, outputs: scene });
  const config = ownConfig(graph, { scene: { head: "scene" } }, { scene: ["dark", "bright"] });
  const built = await openModel(config, 7);
  const params = new Float32Array(built.layout.length);
  for (let i = 0; i < SIDE * SIDE * 3; i++) {
    const pixel = Math.floor(i / 3);
    params[2 * i + 1] = weightAt(Math.floor(pixel / SIDE), pixel % SIDE, i % 3);
  }
  built.setParams(params);
  return { built, config };
}

/** The sample as the model gets it. */
export function batchOf(sample: Sample, config: FederationConfig, built: BuiltModel, withheld = {}): Batch {
  const prepared = prepareSample(sample, config);
  return renderBatch([prepared], [plainView(prepared, withheld)], config, built.strides);
}
