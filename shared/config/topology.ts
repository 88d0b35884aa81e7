/**
 * What a site builds of a topology that came to it: layers that TensorFlow.js brings along, whose training can be
 * repeated, in a graph that can be put together. Everything else is refused before anything is built: TensorFlow.js
 * itself would wait for ever for a layer that is not there.
 */
import { CodedError } from "../errors.ts";

/** Characters of a topology's JSON; MobileNet v2 has 120,000. */
export const MAX_TOPOLOGY = 1 << 20;
const MAX_LAYERS = 2000;
/** Of the layers of one model. */
const MAX_CALLS = 2 * MAX_LAYERS;
const MAX_NESTING = 40;

interface Described {
  /** `modelTopology` of a model.json. */
  readonly topology: Readonly<Record<string, unknown>>;
}

const LAYERS = new Set(
  `InputLayer Model Functional Sequential Dense Activation ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax
  Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose SeparableConv2D DepthwiseConv2D Cropping2D UpSampling2D
  ZeroPadding2D CenterCrop Rescaling Embedding Masking Flatten Permute RepeatVector Reshape Add Average Concatenate Dot
  Maximum Minimum Multiply BatchNormalization LayerNormalization Dropout SpatialDropout1D
  AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D GlobalAveragePooling1D
  GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D
  SimpleRNN SimpleRNNCell GRU GRUCell LSTM LSTMCell RNN StackedRNNCells Bidirectional TimeDistributed`.split(/\s+/),
);
/** Initializers, regularizers and constraints. */
const PARTS = new Set(
  `Zeros Ones Constant Identity RandomUniform RandomNormal TruncatedNormal VarianceScaling GlorotUniform GlorotNormal
  HeNormal HeUniform LeCunNormal LeCunUniform Orthogonal L1L2 MaxNorm UnitNorm NonNeg MinMaxNorm`.split(/\s+/),
);
const CONTAINERS = new Set(["InputLayer", "Model", "Functional", "Sequential"]);
const WHY_NOT: Readonly<Record<string, string>> = {
  Lambda: "it would execute code at every site",
  GaussianNoise: "its noise has no seed, so no training could be repeated",
  GaussianDropout: "its noise has no seed, so no training could be repeated",
  AlphaDropout: "its noise has no seed, so no training could be repeated",
  RandomWidth: "its noise has no seed, so no training could be repeated",
};

/** The one spelling of a field. */
const SNAKE_CASE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/**
 * Refuses a topology that is too large, or holds anything but layers of TensorFlow.js that can be trained repeatably.
 * Throws MODEL_TOPOLOGY, MODEL_LAYER naming the layer.
 */
export function checkTopology({ topology }: Described): void {
  const size = JSON.stringify(topology).length;
  if (size > MAX_TOPOLOGY) {
    throw new CodedError("MODEL_TOPOLOGY", `the topology has ${size} characters; ${MAX_TOPOLOGY} are allowed`, {
      expected: MAX_TOPOLOGY,
      got: size,
    });
  }
  let layers = 0;
  const walk = (value: unknown, depth: number): void => {
    if (value === null || typeof value !== "object") return;
    if (depth > MAX_NESTING) throw new CodedError("MODEL_TOPOLOGY", "the topology is nested too deeply");
    // TensorFlow.js reads className and class__name as class_name: what is checked must be what is read.
    const strange = Array.isArray(value) ? undefined : Object.keys(value).find((field) => !SNAKE_CASE.test(field));
    if (strange !== undefined)
      throw new CodedError("MODEL_TOPOLOGY", `a field is named ${strange}`, { field: strange });
    const { class_name: kind, config } = value as { class_name?: unknown; config?: unknown };
    if (kind !== undefined) {
      checkClass(kind, config);
      if (kind === "Model" || kind === "Functional") checkGraph(config);
      if (typeof kind === "string" && LAYERS.has(kind)) layers++;
      if (layers > MAX_LAYERS) throw new CodedError("MODEL_TOPOLOGY", `more than ${MAX_LAYERS} layers`);
    }
    for (const member of Object.values(value)) walk(member, depth + 1);
  };
  walk(topology, 0);
  if (layers === 0) throw new CodedError("MODEL_TOPOLOGY", "the topology holds no layers");
}

/** How many layers of each kind the topology holds, for people to read; the most frequent first. */
export function layerCounts({ topology }: Described): [kind: string, count: number][] {
  const counts = new Map<string, number>();
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    const { class_name: kind } = value as { class_name?: unknown };
    if (typeof kind === "string" && LAYERS.has(kind) && !CONTAINERS.has(kind)) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    for (const member of Object.values(value)) walk(member);
  };
  walk(topology);
  return [...counts].toSorted(([, a], [, b]) => b - a);
}

function checkClass(kind: unknown, config: unknown): void {
  const settings = (config ?? {}) as Record<string, unknown>;
  const name = typeof settings["name"] === "string" ? ` (${settings["name"]})` : "";
  const refuse = (why: string): never => {
    throw new CodedError("MODEL_LAYER", `the layer ${String(kind)}${name} cannot be federated: ${why}`, {
      layer: kind,
      name: settings["name"] ?? null,
    });
  };
  if (typeof kind !== "string" || !(LAYERS.has(kind) || PARTS.has(kind))) {
    refuse(WHY_NOT[String(kind)] ?? "it is none of the layers that TensorFlow.js brings along");
  }
  const dilation = [settings["dilation_rate"] ?? 1].flat();
  if (dilation.some((rate) => rate !== 1)) refuse("TensorFlow.js has no gradient for dilated convolutions");
  const recurrent = ["dropout", "recurrent_dropout"].some((field) => Number(settings[field] ?? 0) > 0);
  if (recurrent) refuse("dropout inside recurrent layers has no seed");
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** A call of a layer, and the outputs of other calls that it needs: the layer's name and the number of its call. */
interface Call {
  readonly layer: string;
  readonly needs: readonly (readonly [layer: string, call: number])[];
}

/** Puts a graph together in thought as TensorFlow.js does: every call once what it needs is there. */
function checkGraph(config: unknown): void {
  const { layers } = isObject(config) ? config : {};
  if (!Array.isArray(layers)) throw new CodedError("MODEL_TOPOLOGY", "a model in the topology has no list of layers");
  if (layers.length > MAX_LAYERS) throw new CodedError("MODEL_TOPOLOGY", `more than ${MAX_LAYERS} layers`);
  const calls = new Map<string, number>();
  let waiting: Call[] = [];
  for (const layer of layers as unknown[]) {
    const { name, class_name: kind, config: own, inbound_nodes: nodes } = isObject(layer) ? layer : {};
    const sameName = isObject(own) && own["name"] === name;
    if (typeof name !== "string" || !sameName || calls.has(name) || !Array.isArray(nodes)) {
      throw new CodedError("MODEL_TOPOLOGY", `the layer ${String(name)} has no name of its own, or no inbound_nodes`, {
        layer: name,
      });
    }
    // Inputs and whole models have been called once when they are made.
    calls.set(name, typeof kind === "string" && CONTAINERS.has(kind) ? 1 : 0);
    if (waiting.length + nodes.length > MAX_CALLS)
      throw new CodedError("MODEL_TOPOLOGY", `a model's layers are called more than ${MAX_CALLS} times`);
    waiting.push(...(nodes as unknown[]).map((node) => callOf(name, node)));
  }
  while (waiting.length > 0) {
    const still = waiting.filter(({ layer, needs }) => {
      if (!needs.every(([other, call]) => (calls.get(other) ?? 0) > call)) return true;
      calls.set(layer, (calls.get(layer) as number) + 1);
      return false;
    });
    if (still.length === waiting.length) {
      const { layer, needs } = still[0] as Call;
      throw new CodedError(
        "MODEL_TOPOLOGY",
        `the layer ${layer} waits for ${needs.map(([other]) => other).join(", ")}, of which one never comes`,
        { layer },
      );
    }
    waiting = still;
  }
}

function callOf(layer: string, node: unknown): Call {
  const whole = (value: unknown): value is number => typeof value === "number" && Number.isInteger(value) && value >= 0;
  const needs = (Array.isArray(node) ? (node as unknown[]) : [null]).map((input): [string, number] => {
    const [other, call, output, words = {}] = Array.isArray(input) ? (input as unknown[]) : [];
    if (typeof other === "string" && whole(call) && whole(output) && isObject(words ?? {})) return [other, call];
    throw new CodedError("MODEL_TOPOLOGY", `inbound_nodes of the layer ${layer} are not what TensorFlow.js writes`, {
      layer,
    });
  });
  if (needs.length === 0) throw new CodedError("MODEL_TOPOLOGY", `the layer ${layer} has no input`, { layer });
  return { layer, needs };
}
