/**
 * A model's weights as flat vectors: the params that the sites sum, and those that a site keeps for itself. Weights are
 * matched by position and shape. In both vectors values with a gradient come first, running means and variances after.
 */
import type { FederationConfig } from "../shared/config/federation.ts";
import { CodedError } from "../shared/errors.ts";
import { layoutOf, type ParamLayout, tensorValues, type TensorSlot } from "../shared/params/layout.ts";
import { AdapterSet } from "./adapter-set.ts";
import * as tf from "./engine/tf.ts";
import { type ModelWeight, shareOf } from "./shares.ts";

export interface ModelVectors {
  /** What is summed over the sites: the federated params. */
  readonly layout: ParamLayout;
  /** What stays at each site; of length 0 where nothing does. */
  readonly personal: ParamLayout;
  /** How many of the federated params have a gradient: the first ones. */
  readonly learned: number;
  /** Copies of the current values. */
  getParams(): Float32Array;
  getPersonal(): Float32Array;
  /** `personal` left out: as the model was built. Throws PARAMS_SHAPE when a length is not the layout's. */
  setParams(params: Float32Array, personal?: Float32Array | null): void;
  /** Both at once: params, then personal ones, then whatever follows them. */
  setValues(values: Float32Array): void;
  /** What a step differentiates by. `trains`: by the names of weights, of a training in stages. */
  variables(trains: Trains): tf.Variable[];
  /** Writes the gradient of the params, then of the personal ones, from that of the variables by their names. */
  writeGradient(gradients: tf.NamedTensorMap, out: Float32Array): void;
  /** Writes running means and variances as the last forward pass has left them. */
  writeStatistics(trains: Trains, out: Float32Array): void;
  /** Copies running means and variances from one vector of params and personal ones to another. */
  copyStatistics(from: Float32Array, to: Float32Array): void;
  disposeVectors(): void;
}

type Trains = (weight: string) => boolean;

/** One tensor of a vector: a weight itself, or a factor of its adapter. */
interface Entry {
  readonly weight: ModelWeight;
  readonly part: "value" | "down" | "up";
  readonly name: string;
  readonly shape: readonly number[];
}

/** Where a tensor lies in its own vector, and in both one after the other. */
interface Place {
  readonly entry: Entry;
  readonly slot: TensorSlot;
  readonly at: number;
}

interface VectorSettings {
  readonly training: FederationConfig["training"];
  /** For the factors' initial values. */
  readonly seed: number;
  /** See {@link shareOf}. */
  readonly frozenToo: boolean;
}

/** The vectors of a model whose weights have their initial values. */
export function vectorsOf(weights: readonly ModelWeight[], settings: VectorSettings): ModelVectors {
  const { training, seed, frozenToo } = settings;
  const adapters = new AdapterSet(training.adapters, seed);
  const ordered = [
    ...weights.filter(({ kind }) => kind === "learned"),
    ...weights.filter(({ kind }) => kind !== "learned"),
  ].map((weight) => ({ weight, share: shareOf(weight, training, frozenToo) }));
  const summed = placesOf(
    ordered.flatMap(({ weight, share }): Entry[] => {
      if (share === "adapter") return adapters.add(weight).map((factor) => ({ weight, ...factor }));
      return share === "whole" ? [wholeEntry(weight)] : [];
    }),
  );
  const kept = placesOf(
    ordered.filter(({ share }) => share === "personal").map(({ weight }) => wholeEntry(weight)),
    summed.layout.length,
  );
  const { layout } = summed;
  const { layout: personal } = kept;
  const places = [...summed.places, ...kept.places];
  const running = places.filter(({ entry }) => entry.weight.kind !== "learned");
  const differentiated = ordered
    .filter(({ weight, share }) => weight.kind === "learned" && share !== "frozen")
    .map(({ weight }) => weight);

  const read = ({ layout: { length }, places: list }: typeof summed) => {
    const values = new Float32Array(length);
    for (const { entry, slot } of list) {
      const { weight, part } = entry;
      const tensor = part === "value" ? weight.variable : adapters.factor(weight, part);
      values.set(tensor.dataSync<"float32">(), slot.offset);
    }
    return values;
  };
  const write = (list: readonly Place[], values: Float32Array) => {
    for (const { entry, slot } of list) {
      // Sliced: an engine may keep the array it is given.
      const given = tensorValues(values, slot).slice();
      const { weight, part } = entry;
      if (part === "value") tf.tidy(() => weight.variable.assign(tf.tensor(given, [...slot.shape])));
      else adapters.setFactor(weight, part, given);
    }
  };
  const initialPersonal = read(kept);
  const setParams = (params: Float32Array, given?: Float32Array | null) => {
    requireLength("params", layout, params);
    if (given != null) requireLength("personal params", personal, given);
    write(summed.places, params);
    write(kept.places, given ?? initialPersonal);
    adapters.apply();
  };

  return {
    layout,
    personal,
    learned: summed.places.find(({ entry }) => entry.weight.kind !== "learned")?.at ?? layout.length,
    getParams: () => read(summed),
    getPersonal: () => read(kept),
    setParams,
    setValues: (values) =>
      setParams(values.subarray(0, layout.length), values.subarray(layout.length, layout.length + personal.length)),
    variables: (trains) => differentiated.filter(({ name }) => trains(name)).map(({ variable }) => variable),
    writeGradient(gradients, out) {
      for (const { entry, at } of places) {
        const { weight, part } = entry;
        const found = gradients[weight.variable.name];
        if (found == null) continue;
        const gradient = part === "value" ? found : adapters.gradient(weight, part, found);
        out.set(gradient.dataSync<"float32">(), at);
      }
    },
    writeStatistics(trains, out) {
      for (const { entry, at } of running) {
        if (trains(entry.weight.name)) out.set(entry.weight.variable.dataSync<"float32">(), at);
      }
    },
    copyStatistics(from, to) {
      for (const { slot, at } of running) to.set(from.subarray(at, at + slot.size), at);
    },
    disposeVectors: () => adapters.dispose(),
  };
}

function wholeEntry(weight: ModelWeight): Entry {
  return { weight, part: "value", name: weight.name, shape: weight.shape };
}

/** Lays entries out one after the other, behind `before` values of another vector. */
function placesOf(entries: readonly Entry[], before = 0): { readonly layout: ParamLayout; readonly places: Place[] } {
  const layout = layoutOf(entries);
  const places = layout.tensors.map((slot, i) => ({ entry: entries[i] as Entry, slot, at: before + slot.offset }));
  return { layout, places };
}

function requireLength(what: string, { length }: ParamLayout, values: Float32Array): void {
  if (values.length === length) return;
  throw new CodedError("PARAMS_SHAPE", `the model has ${length} ${what}, got ${values.length}`, {
    expected: length,
    got: values.length,
  });
}
