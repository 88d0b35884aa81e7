/**
 * Predictions for whole samples, in the size of their pictures: what `predict`, the report's pictures and every
 * evaluation use. Goes through the same preparation as training, without augmentation.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import * as tf from "../engine/tf.ts";
import { holePixels, plainView, type View } from "../preprocess/augment.ts";
import { type Batch, renderBatch, type Strides } from "../preprocess/batch.ts";
import { denormalisedDepth, UNKNOWN_SCALE } from "../preprocess/depth.ts";
import { type PreparedSample, prepareSample } from "../preprocess/prepare.ts";
import type { Sample } from "../preprocess/sample.ts";
import type { OutputHead } from "./build.ts";
import {
  decodeClasses,
  decodeConfidence,
  decodeDepth,
  decodeDetections,
  decodeHeat,
  type Detection,
  DETECTION_DEFAULTS,
  type DetectionOptions,
  type PictureSize,
  softmax,
} from "./decode.ts";
import type { RunnableModel } from "../runnable.ts";

export type PredictConfig = Pick<FederationConfig, "model" | "input" | "labels">;

export interface Withheld {
  readonly depth?: boolean;
  readonly text?: boolean;
  /** Parts of the given depth map that the model must not see. */
  readonly holes?: View["holes"];
}

/** Every map has one value per pixel of the original picture, row-major; null: the model has no such head. */
export interface Prediction {
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[] | null;
  /** Index into `labels.segmentation`. */
  readonly classMap: Uint8Array | null;
  /** Metres where depth is metric; else known only up to scale and shift. */
  readonly depth: Float32Array | null;
  /** Probability of each of `labels.scene`. */
  readonly scene: Float32Array | null;
  /** Probability of the class in `classMap`, where maps were asked for. */
  readonly confidence?: Float32Array | null;
  /** Highest probability, over classes, that an object's centre is here, where maps were asked for. */
  readonly heat?: Float32Array | null;
}

/** Predicts one sample, with confidence and heat maps. Needs a loaded engine. */
export function predict(
  model: RunnableModel,
  config: PredictConfig,
  sample: Sample,
  withheld: Withheld = {},
  options: DetectionOptions = DETECTION_DEFAULTS,
): Prediction {
  const prepared = [prepareSample(sample, config)];
  return predictPrepared(model, config, prepared, [sample], [withheld], options, true)[0] as Prediction;
}

/**
 * Predicts several prepared samples in one batch.
 *
 * @param sizes those of their original pictures
 * @param maps whether confidence and heat maps are wanted
 */
export function predictPrepared(
  model: RunnableModel,
  config: PredictConfig,
  prepared: readonly PreparedSample[],
  sizes: readonly PictureSize[],
  withheld: readonly Withheld[],
  options: DetectionOptions = DETECTION_DEFAULTS,
  maps = false,
): Prediction[] {
  const depthIsInput = config.input.modalities.includes("depth");
  const views = prepared.map((sample, i) => {
    const without = withheld[i] as Withheld;
    return plainView(sample, { ...without, depth: without.depth === true || !depthIsInput }, without.holes ?? []);
  });
  const batch = renderBatch(prepared, views, config, model.strides);
  const outputs = new Map<OutputHead, Float32Array>();
  tf.tidy(() => {
    for (const [head, tensor] of model.forward(batch, false)) outputs.set(head, tensor.dataSync<"float32">());
  });
  return prepared.map((_, i) =>
    decodeSample(outputs, batch, i, views[i] as View, sizes[i] as PictureSize, config, model.strides, options, maps),
  );
}

function decodeSample(
  outputs: ReadonlyMap<OutputHead, Float32Array>,
  batch: Batch,
  index: number,
  view: View,
  size: PictureSize,
  config: PredictConfig,
  strides: Strides,
  options: DetectionOptions,
  maps: boolean,
): Prediction {
  const { geometry } = batch;
  const { labels } = config;
  const part = (head: OutputHead) => {
    const all = outputs.get(head);
    const length = (all?.length ?? 0) / batch.size;
    return all?.subarray(index * length, (index + 1) * length) ?? null;
  };
  const segmentation = part("segmentation");
  const detection = part("detection");
  const depth = part("depth");
  const scene = part("scene");
  const { kind } = labels.depth;
  const scale = view.present.depth ? (batch.depthScales[index] ?? UNKNOWN_SCALE[kind]) : UNKNOWN_SCALE[kind];
  return {
    width: size.width,
    height: size.height,
    detections:
      detection === null ? null : decodeDetections(detection, labels.detection.length, geometry, size, options),
    classMap:
      segmentation === null
        ? null
        : decodeClasses(segmentation, labels.segmentation.length, strides.segmentation, geometry, size),
    depth:
      depth === null
        ? null
        : decodeDepth(depth, strides.depth, geometry, size).map((value) => denormalisedDepth(value, scale, kind)),
    scene: scene === null ? null : softmax(scene),
    confidence:
      segmentation === null || !maps
        ? null
        : decodeConfidence(segmentation, labels.segmentation.length, strides.segmentation, geometry, size),
    heat: detection === null || !maps ? null : decodeHeat(detection, labels.detection.length, geometry, size),
  };
}

/** 1 for every pixel of the original picture that a hole covers. */
export function pictureHoles(holes: View["holes"], prepared: PreparedSample, size: PictureSize): Uint8Array {
  const mask = new Uint8Array(size.width * size.height);
  const { geometry } = prepared;
  for (const hole of holes) {
    const { top, bottom, left, right } = holePixels(hole, geometry);
    for (let y = 0; y < size.height; y++) {
      const row = Math.floor(((y + 0.5) * geometry.contentHeight) / size.height);
      if (row < top || row >= bottom) continue;
      for (let x = 0; x < size.width; x++) {
        const column = Math.floor(((x + 0.5) * geometry.contentWidth) / size.width);
        if (column >= left && column < right) mask[y * size.width + x] = 1;
      }
    }
  }
  return mask;
}
