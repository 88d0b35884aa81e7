/**
 * Which weights of a model are summed over the sites, which get an adapter, which stay at each site and which stay as
 * they are, by the words of `training.trainable`, `training.adapters` and `training.personal`.
 */
import type { FederationConfig } from "../shared/config/federation.ts";
import type { PersonalPart } from "../shared/config/shares.ts";
import type { Head } from "../shared/release/scores.ts";
import type * as tf from "./engine/tf.ts";
import { adapterOf } from "./adapters.ts";

type Training = FederationConfig["training"];

/** A weight of the model, by what it is. */
export interface ModelWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly variable: tf.Variable;
  /** Has a gradient; a running mean or variance has none, but changes in training. */
  readonly kind: "learned" | "running" | "fixed";
  /** The head that it belongs to alone. */
  readonly head: Head | null;
}

/** `frozen`: has its initial values for ever. */
export type Share = "whole" | "adapter" | "personal" | "frozen";

/** `frozenToo`: weights that never change travel, too, where all are trained and no seed gives them. */
export function shareOf(weight: ModelWeight, training: Training, frozenToo: boolean): Share {
  const { trainable, personal } = training;
  if (weight.kind === "fixed") return frozenToo && trainable === "all" ? "whole" : "frozen";
  if (personal.some((part) => isPart(weight, part))) return "personal";
  // Every forward pass of a training moves them, whatever else is trained.
  if (trainable === "all" || weight.kind === "running") return "whole";
  if (trainable === "heads") return weight.head === null ? "frozen" : "whole";
  const { full, rank } = training.adapters;
  if (full.some((part) => isPart(weight, part))) return "whole";
  if (!isKernel(weight.name)) return "frozen";
  return adapterOf(weight.shape, rank) === null ? "whole" : "adapter";
}

function isPart({ name, head }: ModelWeight, part: PersonalPart): boolean {
  switch (part) {
    case "norms":
      return isNorm(name);
    case "biases":
      return isBias(name) && !isNorm(name);
    case "heads":
      return head !== null;
    default:
      return head === part;
  }
}

/** Scales of this project's layers; everything of the normalisation layers of TensorFlow.js. */
function isNorm(name: string): boolean {
  return /scale(#\d+)?$|\/(gamma|beta|moving_mean|moving_variance)(#\d+)?$/i.test(name);
}

function isBias(name: string): boolean {
  return /bias(#\d+)?$/i.test(name);
}

function isKernel(name: string): boolean {
  return /kernel(#\d+)?$/i.test(name);
}

/**
 * The names of the layers that belong to one output alone: the last ones with weights before it.
 *
 * @param headOf the head that an output of this name is
 */
export function lastLayers(model: tf.LayersModel, headOf: (output: string) => Head | null): Map<string, Head> {
  const found = new Map<string, Head>();
  for (const [i, output] of model.outputNames.entries()) {
    const head = headOf(output);
    const source = (model.outputs[i] as tf.SymbolicTensor & { sourceLayer: tf.layers.Layer }).sourceLayer;
    if (head !== null) for (const layer of nearestWithWeights(source)) found.set(layer.name, head);
  }
  return found;
}

function nearestWithWeights(layer: tf.layers.Layer): tf.layers.Layer[] {
  if (layer.weights.length > 0) return [layer];
  const { inboundNodes } = layer as unknown as { inboundNodes: { inboundLayers: tf.layers.Layer[] }[] };
  return inboundNodes.flatMap(({ inboundLayers }) => inboundLayers.flatMap(nearestWithWeights));
}
