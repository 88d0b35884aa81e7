/**
 * Between a user's own model and the rest: feeds its inputs from a batch and reads its outputs as the heads' maps. What
 * the YAML says about both is checked against the model when it is built.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { type OwnModel, readingOf } from "../../shared/config/own-model.ts";
import { CodedError } from "../../shared/errors.ts";
import type { OutputHead as Head } from "../allulook4/build.ts";
import * as tf from "../engine/tf.ts";
import { type Feed, feedOf } from "../feed.ts";
import type { Batch, Strides } from "../preprocess/batch.ts";
import { METRIC } from "../preprocess/depth.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../preprocess/batch.ts";
import { TEXT_FEATURES, TEXT_WORDS } from "../preprocess/text.ts";
import type { AppliedModel } from "../runnable.ts";

/** Smallest probability and distance whose logarithm is taken. */
const SMALLEST = 1e-6;
const DETECTION_STRIDE = 4;

type Shape = readonly (number | null)[];
type Config = Pick<FederationConfig, "labels" | "input">;

/** Throws MODEL_INTERFACE where model, YAML and federation.yaml do not agree. */
export function ownInterface(model: tf.LayersModel, own: OwnModel, config: Config): AppliedModel {
  sameNames("inputs", model.inputNames, Object.keys(own.inputs));
  sameNames("outputs", model.outputNames, Object.keys(own.outputs));
  for (const [i, name] of model.inputNames.entries()) checkInput(name, model.inputs[i]?.shape as Shape, own, config);
  const strides = { segmentation: 1, depth: 1 };
  for (const [i, name] of model.outputNames.entries()) {
    const shape = model.outputs[i]?.shape as Shape;
    const { head } = own.outputs[name] as OwnModel["outputs"][string];
    checkChannels(name, head, shape, config);
    if (head === "scene") continue;
    const stride = strideOf(name, shape, config.input.size);
    if (head !== "detection") strides[head] = stride;
    else if (stride !== DETECTION_STRIDE) {
      throw disagreement(`outputs.${name}`, `maps of a quarter of the picture's sides`, `of 1/${stride}`);
    }
  }
  const run = (feed: Feed, training: boolean) => {
    const inputs = model.inputNames.map((name, i) => {
      const { modality, values } = own.inputs[name] as OwnModel["inputs"][string];
      return fed(feed(modality), modality, values, model.inputs[i]?.shape as Shape);
    });
    const applied = model.apply(inputs, { training }) as tf.Tensor | tf.Tensor[];
    const outputs = Array.isArray(applied) ? applied : [applied];
    return new Map(
      model.outputNames.map((name, i) => {
        const output = own.outputs[name] as OwnModel["outputs"][string];
        return [output.head, read(outputs[i] as tf.Tensor, output, config)] as const;
      }),
    );
  };
  return {
    strides: strides satisfies Strides,
    forward: (batch, training) => {
      if (training) seedDropout(model, batch);
      return run(feedOf(batch), training);
    },
    apply: (feed) => run(feed, false),
    penalties: () => model.calculateLosses(),
  };
}

function sameNames(what: string, model: readonly string[], yaml: readonly string[]): void {
  const missing = model.filter((name) => !yaml.includes(name));
  const unknown = yaml.filter((name) => !model.includes(name));
  if (missing.length + unknown.length > 0) throw disagreement(what, model.join(", "), yaml.join(", "));
}

function checkInput(name: string, shape: Shape, own: OwnModel, { input }: Config): void {
  const { modality } = own.inputs[name] as OwnModel["inputs"][string];
  const field = `inputs.${name}`;
  if (modality === "presence") {
    if (shape.length !== 2 || shape[1] !== 3) throw disagreement(field, "[batch, 3] for presence", shown(shape));
    return;
  }
  if (!input.modalities.includes(modality)) {
    throw disagreement("input.modalities", `${modality}, which ${field} takes`, input.modalities.join(", "));
  }
  if (modality === "text") {
    const fits = shape.length === 3 && shape[1] === TEXT_WORDS && shape[2] === TEXT_FEATURES;
    if (!fits) throw disagreement(field, `[batch, ${TEXT_WORDS}, ${TEXT_FEATURES}] for text`, shown(shape));
    return;
  }
  const [height, width] = input.size;
  const channels = modality === "rgb" ? [3, 1] : [2, 1];
  const fits = shape.length === 4 && shape[1] === height && shape[2] === width && channels.includes(shape[3] as number);
  if (!fits) {
    throw disagreement(field, `[batch, ${height}, ${width}, ${channels.join(" or ")}] for ${modality}`, shown(shape));
  }
}

function checkChannels(name: string, head: Head, shape: Shape, { labels }: Config): void {
  const field = `outputs.${name}`;
  const last = shape.at(-1);
  if (head === "depth") {
    if (labels.depth.kind === "none") throw disagreement(field, "a head that labels names", "depth");
    if (shape.length !== 4 || last !== 1) throw disagreement(field, "[batch, height, width, 1]", shown(shape));
    return;
  }
  const classes = labels[head].length;
  if (classes === 0) throw disagreement(field, "a head that labels names", head);
  const binary = head !== "detection" && classes === 2 && last === 1;
  const wanted = head === "detection" ? classes + 4 : classes;
  const rank = head === "scene" ? 2 : 4;
  if (shape.length !== rank || (last !== wanted && !binary)) {
    throw disagreement(field, `${rank} axes with ${wanted} channels for ${classes} classes`, shown(shape));
  }
}

/** Pixels per side of one cell. */
function strideOf(name: string, shape: Shape, [height, width]: readonly [number, number]): number {
  const stride = width / (shape[2] ?? Number.NaN);
  if (!Number.isInteger(stride) || (shape[1] ?? 0) * stride !== height) {
    throw disagreement(`outputs.${name}`, `a map that divides ${height} x ${width} evenly`, shown(shape));
  }
  return stride;
}

function shown(shape: Shape): string {
  return `[${["batch", ...shape.slice(1)].join(", ")}]`;
}

function disagreement(field: string, expected: string, got: string): CodedError {
  return new CodedError("MODEL_INTERFACE", `${field}: expected ${expected}, got ${got}`, { field, expected, got });
}

/** The input as the model wants it, from the tensor that this project's models get. */
function fed(
  tensor: tf.Tensor,
  modality: OwnModel["inputs"][string]["modality"],
  values: OwnModel["inputs"][string]["values"],
  shape: Shape,
): tf.Tensor {
  switch (modality) {
    case "rgb": {
      const unit = () => tf.add(tf.mul(tensor, PIXEL_DEVIATION), PIXEL_MEAN);
      const pixels =
        values === "normalised"
          ? tensor
          : values === "unit"
            ? unit()
            : values === "bytes"
              ? tf.mul(unit(), 255)
              : tf.sub(tf.mul(unit(), 2), 1);
      return shape[3] === 1 ? tf.mean(pixels, 3, true) : pixels;
    }
    case "depth":
      return shape[3] === 1 ? tf.slice(tensor, [0, 0, 0, 0], [-1, -1, -1, 1]) : tensor;
    default:
      return tensor;
  }
}

function read(tensor: tf.Tensor, output: OwnModel["outputs"][string], { labels }: Config): tf.Tensor {
  const { head } = output;
  switch (readingOf(output)) {
    case "metres":
      return tf.div(tf.sub(tf.log(tf.maximum(tensor, SMALLEST)), METRIC.mean), METRIC.deviation);
    case "logits":
      return single(tensor, head, labels) ? tf.concat([tf.zerosLike(tensor), tensor], -1) : tensor;
    case "probabilities": {
      const logarithm = (p: tf.Tensor) => tf.log(tf.maximum(p, SMALLEST));
      return single(tensor, head, labels)
        ? tf.concat([logarithm(tf.sub(1, tensor)), logarithm(tensor)], -1)
        : logarithm(tensor);
    }
    default:
      return tensor;
  }
}

/** One channel for two classes: that of the second class. */
function single(tensor: tf.Tensor, head: Head, labels: Config["labels"]): boolean {
  return (head === "segmentation" || head === "scene") && tensor.shape.at(-1) === 1 && labels[head].length === 2;
}

/** Dropout draws from the batch's own bits: a training that goes on from a checkpoint draws the same again. */
function seedDropout(model: tf.LayersModel, batch: Batch): void {
  const dropouts = dropoutsOf(model.layers);
  if (dropouts.length === 0) return;
  let hash = 0x811c9dc5;
  for (const values of [batch.rgb, batch.depth]) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < bits.length; i += 31) hash = Math.imul(hash ^ (bits[i] as number), 0x01000193) >>> 0;
  }
  for (const [i, layer] of dropouts.entries()) layer.seed = (hash ^ Math.imul(i + 1, 0x9e3779b1)) >>> 1;
}

function dropoutsOf(layers: readonly tf.layers.Layer[]): { seed: number }[] {
  return layers.flatMap((layer) => {
    const inner = (layer as { layers?: tf.layers.Layer[] }).layers;
    if (inner !== undefined) return dropoutsOf(inner);
    const wrapped = (layer as { layer?: tf.layers.Layer }).layer;
    if (wrapped !== undefined) return dropoutsOf([wrapped]);
    return /Dropout/.test(layer.getClassName()) ? [layer as unknown as { seed: number }] : [];
  });
}
