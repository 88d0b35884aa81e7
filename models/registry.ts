/**
 * The models there are. Another model is one new file and one line here. Weights are matched by position and shape,
 * never by generated names, and leave this folder only as one flat vector.
 */
import { isModelName, type ModelName } from "../shared/config/models.ts";
import { CodedError } from "../shared/errors.ts";
import { layoutOf, type ParamLayout, tensorValues } from "../shared/params/layout.ts";
import { buildAllulook4, type ModelConfig } from "./allulook4/build.ts";
import { forward } from "./allulook4/forward.ts";
import * as tf from "./engine/tf.ts";
import { initialValues } from "./initialise.ts";
import { valuesOf } from "./layer-initial.ts";
import { fillWeights, withZeros } from "./seeded.ts";
import { buildOwnModel } from "./own/build.ts";
import { ownInterface } from "./own/interface.ts";
import { ALLULOOK4_STRIDES, type Strides } from "./preprocess/batch.ts";
import type { RunnableModel, TrainingStage } from "./runnable.ts";
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
  readonly lossScale?: RunnableModel["lossScale"];
  /** Of a model that is not trained all at once. */
  stages?(model: tf.LayersModel): (progress: number) => TrainingStage;
}

/** The table, by name. */
const MODELS: Readonly<Record<ModelName, ModelKind>> = {
  allulook4: { build: buildAllulook4, strides: ALLULOOK4_STRIDES },
  dpt: { build: buildDpt, strides: depthAt(2) },
  "depth-sense": { build: buildDepthSense, strides: depthAt(4) },
  depthnet: { build: buildDepthnet, strides: depthAt(1), lossScale: scaleOfPictures },
  "depth-2d": { build: buildDepth2d, strides: depthAt(1) },
  "depth-2d-edges": { build: buildDepth2dEdges, strides: depthAt(1), stages: edgeStages },
};

function depthAt(stride: number): Strides {
  return { ...ALLULOOK4_STRIDES, depth: stride };
}

export interface BuiltModel extends RunnableModel {
  readonly model: tf.LayersModel;
  /** The trainable weights, then those that training changes without a gradient (running means and variances). */
  readonly layout: ParamLayout;
  /** The same weights as variables, in the layout's order. */
  readonly variables: readonly tf.Variable[];
  /** How many of them have a gradient: the first ones. */
  readonly trainable: number;
  /** A copy of all weights of the layout. */
  getParams(): Float32Array;
  /** Throws PARAMS_SHAPE when the length is not the layout's. */
  setParams(params: Float32Array): void;
  dispose(): void;
}

/**
 * Builds the configured model with the initial weights of `seed`, equal on every machine. Needs a loaded engine.
 *
 * @throws CodedError MODEL_UNKNOWN
 */
export function buildModel(config: ModelConfig, seed: number): BuiltModel {
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
  return wrapModel(model, {
    strides: kind.strides,
    forward: (batch, training) => forward(model, batch, training),
    ...(kind.lossScale !== undefined && { lossScale: kind.lossScale }),
    ...(kind.stages !== undefined && { stageAt: kind.stages(model) }),
  });
}

/**
 * Builds the configured model, of the table or of one's own, with the initial weights of `seed`. Needs a loaded engine.
 *
 * @throws CodedError MODEL_UNKNOWN, MODEL_LAYER, MODEL_TOPOLOGY, MODEL_INTERFACE, MODEL_LARGE
 */
export async function openModel(config: ModelConfig, seed: number): Promise<BuiltModel> {
  const { own } = config.model;
  if (own === undefined) return buildModel(config, seed);
  const model = await buildOwnModel(own, config.input, seed);
  try {
    return wrapModel(model, ownInterface(model, own, config), true);
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** The flat-vector view of any LayersModel. `frozen`: weights that do not change travel, too, since no seed gives them. */
function wrapModel(model: tf.LayersModel, runnable: RunnableModel, frozen = false): BuiltModel {
  const learned = model.trainableWeights as unknown as LayerWeight[];
  const others = frozen ? (model.nonTrainableWeights as unknown as LayerWeight[]) : statisticsOf(model);
  const weights = [...learned, ...others];
  const layout = layoutOf(
    distinct(weights.map((weight) => weight.originalName)).map((name, i) => ({
      name,
      shape: (weights[i] as LayerWeight).shape as number[],
    })),
  );
  return {
    ...runnable,
    model,
    layout,
    trainable: learned.length,
    variables: weights.map((weight) => weight.val),
    getParams() {
      const params = new Float32Array(layout.length);
      for (const [i, slot] of layout.tensors.entries()) {
        params.set((weights[i] as LayerWeight).val.dataSync<"float32">(), slot.offset);
      }
      return params;
    },
    setParams(params) {
      if (params.length !== layout.length) {
        throw new CodedError("PARAMS_SHAPE", `the model has ${layout.length} params, got ${params.length}`, {
          expected: layout.length,
          got: params.length,
        });
      }
      for (const [i, slot] of layout.tensors.entries()) {
        const variable = (weights[i] as LayerWeight).val;
        // Sliced: an engine may keep the array it is given.
        tf.tidy(() => variable.assign(tf.tensor(tensorValues(params, slot).slice(), [...slot.shape])));
      }
    },
    dispose() {
      model.dispose();
    },
  };
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
