/**
 * The models there are: a name and a builder. Another model is one new folder and one line here. Weights are matched
 * by position and shape, never by generated names, and leave this folder only as one flat vector.
 */
import { CodedError } from "../shared/errors.ts";
import { layoutOf, type ParamLayout, tensorValues } from "../shared/params/layout.ts";
import { buildAllulook4, type ModelConfig } from "./allulook4/build.ts";
import * as tf from "./engine/tf.ts";
import { initialValues } from "./initialise.ts";

export type { ModelConfig };

/** The table: model name -> graph with all weights zero. */
const MODELS: Readonly<Record<string, (config: ModelConfig) => tf.LayersModel>> = {
  allulook4: buildAllulook4,
};

export interface BuiltModel {
  readonly model: tf.LayersModel;
  /** The trainable weights, in the model's order. */
  readonly layout: ParamLayout;
  /** The same weights as variables, in the layout's order. */
  readonly variables: readonly tf.Variable[];
  /** A copy of all trainable weights. */
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
  const build = Object.hasOwn(MODELS, config.model.name) ? MODELS[config.model.name] : undefined;
  if (build === undefined) {
    throw new CodedError("MODEL_UNKNOWN", `there is no model named ${config.model.name}`, {
      expected: Object.keys(MODELS),
      got: config.model.name,
    });
  }
  const model = build(config);
  for (const weight of model.weights as unknown as LayerWeight[]) {
    const shape = weight.shape as number[];
    tf.tidy(() => weight.write(tf.tensor(initialValues(weight.originalName, shape, seed), shape)));
  }
  return wrapModel(model);
}

/** The flat-vector view of any LayersModel. */
function wrapModel(model: tf.LayersModel): BuiltModel {
  const weights = model.trainableWeights as unknown as LayerWeight[];
  const layout = layoutOf(weights.map((weight) => ({ name: weight.originalName, shape: weight.shape as number[] })));
  return {
    model,
    layout,
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

/** A weight of a tfjs layer, with the parts that its type declarations hide. */
interface LayerWeight {
  readonly originalName: string;
  readonly shape: readonly (number | null)[];
  readonly val: tf.Variable;
  write(value: tf.Tensor): void;
}
