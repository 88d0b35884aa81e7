/**
 * Builds a user's own LayersModel from the topology in the plan. Only layers of TensorFlow.js are made, at most so many
 * weights and values, and the pictures' size is fixed beforehand: what does not fit is refused before anything is large.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { OwnModel } from "../../shared/config/own-model.ts";
import { checkTopology } from "../../shared/config/topology.ts";
import { CodedError } from "../../shared/errors.ts";
import * as tf from "../engine/tf.ts";
import { valuesOf } from "../layer-initial.ts";
import { fillWeights, withZeros } from "../seeded.ts";

/** 256 MB of params. */
const MAX_PARAMS = 64 * 2 ** 20;
/** Values of all layers' outputs for one picture: 1 GiB. */
const MAX_VALUES = 2 ** 28;

/**
 * The model with the initial weights of `seed`. Needs a loaded engine.
 *
 * @throws CodedError MODEL_LAYER, MODEL_TOPOLOGY, MODEL_LARGE
 */
export async function buildOwnModel(
  own: OwnModel,
  input: FederationConfig["input"],
  seed: number,
): Promise<tf.LayersModel> {
  checkTopology(own);
  const topology = sized(own, input.size);
  let loaded: tf.LayersModel | null = null;
  try {
    const { made: building, initializers } = withZeros(
      () => tf.models.modelFromJSON(topology as unknown as Parameters<typeof tf.models.modelFromJSON>[0]),
      MAX_PARAMS,
    );
    loaded = await building;
    const model = inner(loaded);
    checkSize(model);
    fillWeights(model, initializers, (initializer, name, shape) => valuesOf(initializer, name, shape, seed));
    return model;
  } catch (error) {
    loaded?.dispose();
    if (error instanceof CodedError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new CodedError("MODEL_TOPOLOGY", `TensorFlow.js cannot build the model: ${why}`, {}, { cause: error });
  }
}

/** Weights as they stand beside a model.json, by name. Throws MODEL_TOPOLOGY when they are not the model's. */
export function loadOwnWeights(
  model: tf.LayersModel,
  specs: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[],
  data: Uint8Array,
): void {
  tf.tidy(() => {
    try {
      const wanted = specs.map((spec) => ({ ...spec })) as unknown as tf.io.WeightsManifestEntry[];
      model.loadWeights(tf.io.decodeWeights(data.slice().buffer, wanted), true);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new CodedError("MODEL_TOPOLOGY", `the weights do not fit the model: ${why}`, {}, { cause: error });
    }
  });
}

/** A copy of the topology whose inputs for pictures and depth maps have the federation's size where theirs is open. */
function sized(own: OwnModel, [height, width]: readonly [number, number]): Record<string, unknown> {
  const copy = JSON.parse(JSON.stringify(own.topology)) as Record<string, unknown>;
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    const shape = (value as Record<string, unknown>)["batch_input_shape"];
    if (Array.isArray(shape) && shape.length === 4) {
      shape[1] ??= height;
      shape[2] ??= width;
    }
    for (const member of Object.values(value)) visit(member);
  };
  visit(copy);
  return copy;
}

/** A sequential model knows its inputs and outputs by name only through the graph inside it. */
function inner(model: tf.LayersModel): tf.LayersModel {
  if (!(model instanceof tf.Sequential)) return model;
  model.build();
  return (model as unknown as { model: tf.LayersModel }).model;
}

function checkSize(model: tf.LayersModel): void {
  const values = valuesIn(model);
  if (values <= MAX_VALUES) return;
  throw new CodedError("MODEL_LARGE", `one picture makes ${values} values in the model's layers`, {
    expected: MAX_VALUES,
    got: values,
  });
}

/** Values of all layers' outputs for one picture; a model among the layers counts with its own. */
function valuesIn(model: tf.LayersModel): number {
  let values = 0;
  for (const layer of model.layers) {
    if (layer instanceof tf.LayersModel) values += valuesIn(inner(layer));
    for (const shape of shapesOf(layer)) {
      values += shape.slice(1).reduce<number>((product, side) => product * (side ?? 1), 1);
    }
  }
  return values;
}

function shapesOf(layer: tf.layers.Layer): (number | null)[][] {
  const { outputShape } = layer;
  return (Array.isArray(outputShape[0]) ? outputShape : [outputShape]) as (number | null)[][];
}
