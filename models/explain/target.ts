/**
 * What is explained: one number that a head puts out for a picture. A region's class: its mean probability there. A box:
 * the probability that an object of its class is centred in its cell. Depth: the region's mean. A scene: its probability.
 */
import type { Labels } from "../../shared/config/federation.ts";
import type { OutputHead } from "../allulook4/build.ts";
import type { Detection, PictureSize } from "../allulook4/decode.ts";
import * as tf from "../engine/tf.ts";
import type { Strides } from "../preprocess/batch.ts";
import type { Geometry } from "../preprocess/prepare.ts";

export interface Target {
  readonly head: OutputHead;
  /** In words. */
  readonly label: string;
  /** Of each value of the head's map of one picture; they sum to 1. */
  readonly weights: Float32Array;
  /** Channels of that map, and pixels per side of its cells; null: no map. */
  readonly channels: number;
  readonly stride: number | null;
  /** Of a box: where it stands in the picture. */
  readonly box?: Detection;
}

const DETECTION_STRIDE = 4;
/** The nearest share of the picture is the region whose depth is explained: what one would run into. */
const NEAREST = 0.1;
/** Classes of a picture that are explained, at most, and the least share of the picture that they cover. */
const CLASSES = 2;
const SMALLEST = 0.01;

/** The target's value for each picture of a batch, [B]. */
export function scoresOf(target: Target, outputs: ReadonlyMap<OutputHead, tf.Tensor>): tf.Tensor1D {
  const map = outputs.get(target.head) as tf.Tensor;
  const values = target.head === "depth" ? map : target.head === "detection" ? tf.sigmoid(map) : tf.softmax(map);
  const flat = tf.reshape(values, [map.shape[0] as number, target.weights.length]) as tf.Tensor2D;
  return tf.reshape(tf.matMul(flat, tf.tensor2d(target.weights, [target.weights.length, 1])), [-1]);
}

/** The weights summed over channels: one a cell, row-major. Null where the target has no place. */
export function cellWeights({ weights, channels, stride }: Target): Float32Array | null {
  if (stride === null) return null;
  const cells = new Float32Array(weights.length / channels);
  for (const [i, weight] of weights.entries()) {
    const cell = Math.floor(i / channels);
    cells[cell] = (cells[cell] as number) + weight;
  }
  return cells;
}

/** The output maps of one picture. */
export type Maps = ReadonlyMap<OutputHead, Float32Array>;

/**
 * What there is to explain about one picture: its largest classes but the background, its best box, the depth of what is
 * nearest, its scene. `depthMaps` are the outputs without the depth input, for depth from the picture.
 */
export function targetsOf(
  maps: Maps,
  depthMaps: Maps,
  labels: Labels,
  geometry: Geometry,
  strides: Strides,
  detections: readonly Detection[] | null,
  size: PictureSize,
): Target[] {
  const segmentation = maps.get("segmentation");
  const detection = maps.get("detection");
  const depth = depthMaps.get("depth");
  const scene = maps.get("scene");
  const best = detections?.[0];
  return [
    ...(segmentation === undefined ? [] : classTargets(segmentation, labels, geometry, strides.segmentation)),
    ...(detection === undefined || best === undefined ? [] : [boxTarget(detection, best, labels, geometry, size)]),
    ...(depth === undefined ? [] : [depthTarget(depth, labels, geometry, strides.depth)]),
    ...(scene === undefined ? [] : [sceneTarget(scene, labels)]),
  ];
}

/** The region of each of the largest classes. */
function classTargets(map: Float32Array, labels: Labels, geometry: Geometry, stride: number): Target[] {
  const channels = labels.segmentation.length;
  const regions = labels.segmentation.map((): number[] => []);
  for (const cell of contentCells(geometry, stride)) {
    (regions[largest(map, cell * channels, channels)] as number[]).push(cell);
  }
  const least = SMALLEST * regions.reduce((sum, { length }) => sum + length, 0);
  return [...regions.entries()]
    .filter(([index, { length }]) => length > least && labels.segmentation[index] !== "background")
    .toSorted(([, a], [, b]) => b.length - a.length)
    .slice(0, CLASSES)
    .map(([index, cells]) => ({
      head: "segmentation",
      label: labels.segmentation[index] ?? String(index),
      weights: even(
        map.length,
        cells.map((cell) => cell * channels + index),
      ),
      channels,
      stride,
    }));
}

/** The cell that found the box: of those of its class whose score is the box's, the nearest to its centre. */
function boxTarget(map: Float32Array, box: Detection, labels: Labels, geometry: Geometry, size: PictureSize): Target {
  const channels = labels.detection.length + 4;
  const columns = geometry.width / DETECTION_STRIDE;
  const x = ((box.x + box.width / 2) * geometry.contentWidth) / size.width / DETECTION_STRIDE;
  const y = ((box.y + box.height / 2) * geometry.contentHeight) / size.height / DETECTION_STRIDE;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let cell = 0; cell < map.length / channels; cell++) {
    const score = 1 / (1 + Math.exp(-(map[cell * channels + box.classIndex] as number)));
    const away = Math.hypot((cell % columns) + 0.5 - x, Math.floor(cell / columns) + 0.5 - y);
    const difference = Math.abs(score - box.score) + 1e-6 * away;
    if (difference < least) [best, least] = [cell, difference];
  }
  return {
    head: "detection",
    label: labels.detection[box.classIndex] ?? String(box.classIndex),
    weights: even(map.length, [best * channels + box.classIndex]),
    channels,
    stride: DETECTION_STRIDE,
    box,
  };
}

function depthTarget(map: Float32Array, labels: Labels, geometry: Geometry, stride: number): Target {
  const cells = [...contentCells(geometry, stride)];
  // Inverse depth is near where it is large.
  const sign = labels.depth.kind === "inverse" ? -1 : 1;
  const nearest = cells.toSorted((a, b) => sign * ((map[a] as number) - (map[b] as number)));
  return {
    head: "depth",
    label: "depth of the nearest tenth",
    weights: even(map.length, nearest.slice(0, Math.max(1, Math.round(NEAREST * cells.length)))),
    channels: 1,
    stride,
  };
}

function sceneTarget(map: Float32Array, labels: Labels): Target {
  const index = largest(map, 0, map.length);
  return {
    head: "scene",
    label: labels.scene[index] ?? String(index),
    weights: even(map.length, [index]),
    channels: map.length,
    stride: null,
  };
}

function even(length: number, indices: readonly number[]): Float32Array {
  const weights = new Float32Array(length);
  for (const index of indices) weights[index] = 1 / indices.length;
  return weights;
}

function largest(values: Float32Array, start: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if ((values[start + i] as number) > (values[start + best] as number)) best = i;
  return best;
}

/** Cells whose centre lies in the picture, not in its padding. */
function* contentCells(geometry: Geometry, stride: number): Generator<number> {
  const columns = geometry.width / stride;
  for (let y = 0; (y + 0.5) * stride < geometry.contentHeight; y++) {
    for (let x = 0; (x + 0.5) * stride < geometry.contentWidth; x++) yield y * columns + x;
  }
}
