/**
 * The models there are. Another model is one new file and one line here. Weights are matched by position and shape,
 * never by generated names, and leave this folder only as one flat vector.
 */
import { isModelName, type ModelName } from "../shared/config/models.ts";
import type { Labels } from "../shared/config/federation.ts";
import { CodedError } from "../shared/errors.ts";
import type { BaseParams } from "../shared/release/base.ts";
import type { Head } from "../shared/release/scores.ts";
import { buildAllulook4, headOfLayer, type ModelConfig, OUTPUTS } from "./allulook4/build.ts";
import { forward } from "./allulook4/forward.ts";
import * as tf from "./engine/tf.ts";
import { feedOf } from "./feed.ts";
import { initialValues } from "./initialise.ts";
import { valuesOf } from "./layer-initial.ts";
import { fillWeights, withZeros } from "./seeded.ts";
import { buildOwnModel } from "./own/build.ts";
import { ownInterface } from "./own/interface.ts";
import { checkLosses } from "./losses/table.ts";
import { ALLULOOK4_STRIDES, type Strides } from "./preprocess/batch.ts";
import type { AppliedModel, RunnableModel, TrainingStage } from "./runnable.ts";
import { startValues } from "./start.ts";
import { lastLayers, type ModelWeight } from "./shares.ts";
import { type ModelVectors, vectorsOf } from "./vector.ts";
import { buildDepth2d, buildDepth2dEdges } from "./zoo/depth-2d.ts";
import { buildDepthSense } from "./zoo/depth-sense.ts";
import { buildDepthnet, scaleOfPictures } from "./zoo/depthnet.ts";
import { buildDpt } from "./zoo/dpt.ts";
import { edgeStages } from "./zoo/stages.ts";

export type { ModelConfig };

interface ModelKind {
  /** The graph with all weights zero; inputs and outputs have the names that `forward` knows. */
  build(config: ModelConfig): tf.LayersModel;
  readonly strides: Strides;
  /** The head that a layer of this name belongs to alone; left out: the last ones with weights do. */
  headOf?(layer: string): Head | null;
  readonly lossScale?: RunnableModel["lossScale"];
  /** Of a model that is not trained all at once. */
  stages?(model: tf.LayersModel): (progress: number) => TrainingStage;
}

/** The table, by name. */
const MODELS: Readonly<Record<ModelName, ModelKind>> = {
  allulook4: { build: buildAllulook4, strides: ALLULOOK4_STRIDES, headOf: headOfLayer },
  dpt: { build: buildDpt, strides: depthAt(2) },
  "depth-sense": { build: buildDepthSense, strides: depthAt(4) },
  depthnet: { build: buildDepthnet, strides: depthAt(1), lossScale: scaleOfPictures },
  "depth-2d": { build: buildDepth2d, strides: depthAt(1) },
  "depth-2d-edges": { build: buildDepth2dEdges, strides: depthAt(1), stages: edgeStages },
};

const OUTPUT_HEADS: ReadonlyMap<string, Head> = new Map(
  Object.entries(OUTPUTS).map(([head, output]) => [output, head as Head]),
);

function depthAt(stride: number): Strides {
  return { ...ALLULOOK4_STRIDES, depth: stride };
}

export interface BuiltModel extends AppliedModel, ModelVectors {
  readonly model: tf.LayersModel;
  dispose(): void;
}

/**
 * Builds the configured model with the initial weights of `base`, those that it does not have of `seed`, equal on every
 * machine. Needs a loaded engine.
 *
 * @throws CodedError MODEL_UNKNOWN, MODEL_PART
 */
export function buildModel(config: ModelConfig, seed: number, base: BaseParams | null = null): BuiltModel {
  const kind = isModelName(config.model.name) ? MODELS[config.model.name] : undefined;
  if (kind === undefined) {
    throw new CodedError("MODEL_UNKNOWN", `there is no model named ${config.model.name}`, {
      expected: Object.keys(MODELS),
      got: config.model.name,
    });
  }
  const { made: model, initializers } = withZeros(() => kind.build(config));
  // Layers of this project leave their initial values to the names of their weights.
  fillWeights(model, initializers, (initializer, name, shape) =>
    initializer.getClassName() === "Zeros"
      ? initialValues(name, shape, seed)
      : valuesOf(initializer, name, shape, seed),
  );
  const runnable: AppliedModel = {
    strides: kind.strides,
    forward: (batch, training) => forward(model, feedOf(batch), training),
    apply: (feed) => forward(model, feed, false),
    ...(kind.lossScale !== undefined && { lossScale: kind.lossScale }),
    ...(kind.stages !== undefined && { stageAt: kind.stages(model) }),
  };
  const heads = lastLayers(model, (output) => OUTPUT_HEADS.get(output) ?? null);
  const headOf = kind.headOf ?? ((layer: string) => heads.get(layer) ?? null);
  return wrapModel(model, runnable, { config, seed, headOf, base });
}

/**
 * Builds the configured model, of the table or of one's own, with the initial weights of `seed`. Needs a loaded engine.
 *
 * @throws CodedError MODEL_UNKNOWN, MODEL_PART, MODEL_LAYER, MODEL_TOPOLOGY, MODEL_INTERFACE, MODEL_LARGE
 */
export async function openModel(
  config: ModelConfig,
  seed: number,
  base: BaseParams | null = null,
): Promise<BuiltModel> {
  const { own } = config.model;
  if (own === undefined) return buildModel(config, seed, base);
  const model = await buildOwnModel(own, config.input, seed);
  try {
    const heads = lastLayers(model, (output) => own.outputs[output]?.head ?? null);
    const headOf = (layer: string) => heads.get(layer) ?? null;
    return wrapModel(model, ownInterface(model, own, config), { config, seed, headOf, base: null });
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** The flat-vector view of any LayersModel. */
function wrapModel(
  model: tf.LayersModel,
  runnable: AppliedModel,
  settings: { config: ModelConfig; seed: number; headOf(layer: string): Head | null; base: BaseParams | null },
): BuiltModel {
  checkLosses(settings.config.training.losses);
  const { config, seed, headOf, base } = settings;
  const weights = weightsOf(model, headOf);
  if (base !== null) assignBase(weights, base, config.labels);
  const vectors = vectorsOf(weights, {
    training: config.training,
    seed,
    frozenToo: config.model.own !== undefined,
  });
  return {
    ...runnable,
    ...vectors,
    model,
    dispose() {
      vectors.disposeVectors();
      model.dispose();
    },
  };
}

function weightsOf(model: tf.LayersModel, headOf: (layer: string) => Head | null): ModelWeight[] {
  const learned = model.trainableWeights as unknown as LayerWeight[];
  const others = model.nonTrainableWeights as unknown as LayerWeight[];
  const running = new Set(statisticsOf(model));
  const layers = new Map(
    model.layers.flatMap((layer) => (layer.weights as unknown as LayerWeight[]).map((weight) => [weight, layer.name])),
  );
  const names = distinct([...learned, ...others].map((weight) => weight.originalName));
  return [...learned, ...others].map((weight, i) => ({
    name: names[i] as string,
    shape: weight.shape as readonly number[],
    variable: weight.val,
    kind: i < learned.length ? "learned" : running.has(weight) ? "running" : "fixed",
    head: headOf(layers.get(weight) ?? ""),
  }));
}

/** Takes over what the two models have in common. */
function assignBase(weights: readonly ModelWeight[], base: BaseParams, labels: Labels): void {
  for (const { name, shape, variable } of weights) {
    const initial = variable.dataSync<"float32">();
    const values = startValues(base, labels, name, shape, initial);
    if (values !== initial) tf.tidy(() => variable.assign(tf.tensor(values, [...shape])));
  }
}

/** Layers inside others may share a name; the second is told apart by its number. */
function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}#${count}`;
  });
}

/** Running means and variances of normalisation layers that are trained. */
function statisticsOf(model: tf.LayersModel): LayerWeight[] {
  return model.layers
    .filter((layer) => layer.getClassName() === "BatchNormalization" && layer.trainable)
    .flatMap((layer) => layer.nonTrainableWeights as unknown as LayerWeight[]);
}

/** A weight of a tfjs layer, with the parts that its type declarations hide. */
interface LayerWeight {
  readonly originalName: string;
  readonly shape: readonly (number | null)[];
  readonly val: tf.Variable;
}
