/**
 * A model's weights as flat vectors: the params that the sites sum, and those that a site keeps for itself. Weights are
 * matched by position and shape. In both vectors values with a gradient come first, running means and variances after.
 */
import type { FederationConfig } from "../shared/config/federation.ts";
import { CodedError } from "../shared/errors.ts";
import { layoutOf, type ParamLayout, tensorValues, type TensorSlot } from "../shared/params/layout.ts";
import { adapted, adapterOf, factorGradient, type Factors } from "./adapters.ts";
import * as tf from "./engine/tf.ts";
import { initialValues } from "./initialise.ts";
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

interface Adapter {
  readonly weight: ModelWeight;
  /** W0. */
  readonly kernel: tf.Tensor;
  readonly scale: number;
  factors: Factors;
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
  const { rank, alpha = 2 * rank, down: downs } = training.adapters;
  const shares = new Map(weights.map((weight) => [weight, shareOf(weight, training, frozenToo)]));
  const learnedFirst = [
    ...weights.filter(({ kind }) => kind === "learned"),
    ...weights.filter(({ kind }) => kind !== "learned"),
  ];
  const adapters = new Map<ModelWeight, Adapter>();
  const factorEntries = (weight: ModelWeight): Entry[] => {
    const { down, up } = adapterOf(weight.shape, rank) as NonNullable<ReturnType<typeof adapterOf>>;
    const entry = (part: "down" | "up", shape: readonly number[]): Entry => ({
      weight,
      part,
      name: `${weight.name}/${part === "down" ? "adapterDown" : "adapterUp"}`,
      shape,
    });
    const both = [entry("down", down), entry("up", up)] as const;
    const [first, second] = both.map(({ name, shape }) =>
      tf.keep(tf.tensor2d(initialValues(name, shape, seed), [...shape] as [number, number])),
    ) as [tf.Tensor2D, tf.Tensor2D];
    const kernel = tf.keep(tf.clone(weight.variable));
    adapters.set(weight, { weight, kernel, scale: alpha / rank, factors: { down: first, up: second } });
    return downs === "fixed" ? [both[1]] : [...both];
  };
  const entries = learnedFirst.flatMap((weight): Entry[] => {
    const share = shares.get(weight);
    if (share === "adapter") return factorEntries(weight);
    return share === "whole" ? [wholeEntry(weight)] : [];
  });
  const own = learnedFirst.filter((weight) => shares.get(weight) === "personal").map(wholeEntry);
  const layout = layoutOf(entries);
  const personal = layoutOf(own);
  const first = entries.findIndex(({ weight }) => weight.kind !== "learned");
  const learned = first < 0 ? layout.length : (layout.tensors[first] as TensorSlot).offset;
  const placed = (list: readonly Entry[], slots: readonly TensorSlot[], shift: number) =>
    list.map((entry, i) => ({ entry, slot: slots[i] as TensorSlot, at: (slots[i] as TensorSlot).offset + shift }));
  const federatedPlaces = placed(entries, layout.tensors, 0);
  const personalPlaces = placed(own, personal.tensors, layout.length);
  const places = [...federatedPlaces, ...personalPlaces];
  const running = places.filter(({ entry }) => entry.weight.kind !== "learned");

  const read = (list: typeof places, length: number) => {
    const values = new Float32Array(length);
    for (const { entry, slot } of list) values.set(current(entry, adapters).dataSync<"float32">(), slot.offset);
    return values;
  };
  const initialPersonal = read(personalPlaces, personal.length);

  const write = (list: typeof places, values: Float32Array) => {
    for (const { entry, slot } of list) {
      // Sliced: an engine may keep the array it is given.
      const given = tensorValues(values, slot).slice();
      if (entry.part === "value") tf.tidy(() => entry.weight.variable.assign(tf.tensor(given, [...slot.shape])));
      else replaceFactor(adapters.get(entry.weight) as Adapter, entry.part, given);
    }
  };

  const size = layout.length + personal.length;
  const setParams = (params: Float32Array, given?: Float32Array | null) => {
    requireLength("params", layout, params);
    if (given != null) requireLength("personal params", personal, given);
    write(federatedPlaces, params);
    write(personalPlaces, given ?? initialPersonal);
    for (const { weight, kernel, factors, scale } of adapters.values()) {
      tf.tidy(() => weight.variable.assign(adapted(kernel, factors, scale)));
    }
  };

  return {
    layout,
    personal,
    learned,
    setParams,
    setValues: (values) => setParams(values.subarray(0, layout.length), values.subarray(layout.length, size)),
    getParams: () => read(federatedPlaces, layout.length),
    getPersonal: () => read(personalPlaces, personal.length),
    variables: (trains) =>
      weights
        .filter((weight) => weight.kind === "learned" && shares.get(weight) !== "frozen" && trains(weight.name))
        .map(({ variable }) => variable),
    writeGradient(gradients, out) {
      for (const { entry, at } of places) {
        const found = gradients[entry.weight.variable.name];
        if (found == null) continue;
        const adapter = adapters.get(entry.weight);
        const gradient =
          adapter === undefined || entry.part === "value"
            ? found
            : factorGradient(entry.part, found, adapter.factors, adapter.scale);
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
    disposeVectors() {
      for (const { kernel, factors } of adapters.values()) tf.dispose([kernel, factors.down, factors.up]);
    },
  };
}

function wholeEntry(weight: ModelWeight): Entry {
  return { weight, part: "value", name: weight.name, shape: weight.shape };
}

function current({ weight, part }: Entry, adapters: ReadonlyMap<ModelWeight, Adapter>): tf.Tensor {
  return part === "value" ? weight.variable : (adapters.get(weight) as Adapter).factors[part];
}

function replaceFactor(adapter: Adapter, part: "down" | "up", values: Float32Array): void {
  const before = adapter.factors[part];
  adapter.factors = { ...adapter.factors, [part]: tf.keep(tf.tensor2d(values, before.shape)) };
  before.dispose();
}

function requireLength(what: string, { length }: ParamLayout, values: Float32Array): void {
  if (values.length === length) return;
  throw new CodedError("PARAMS_SHAPE", `the model has ${length} ${what}, got ${values.length}`, {
    expected: length,
    got: values.length,
  });
}
