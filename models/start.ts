/**
 * Fine-tuning: which of a trained model's weights another one begins with. Federations differ in classes, heads and
 * inputs, so
 *
 * - a tensor is taken over where the trained model has one of its name and shape;
 * - the last layers of segmentation, detection and scene are taken over class by class: a class begins with the weights
 *   of the trained model's class of the same name (whatever its case), others with their own initial values;
 * - the last layer of depth is taken over unless depth is inverse here or there alone, as it grows the other way;
 * - all else keeps its initial values.
 *
 * Depth's last layer of metric depth serves relative depth: both grow with the distance.
 */
import type { Labels } from "../shared/config/federation.ts";
import { tensorValues } from "../shared/params/layout.ts";
import type { BaseParams } from "../shared/release/base.ts";

/** Last axes that count classes (the fastest part of it, where it holds several pixels). */
const CLASS_TENSORS = [
  [/^head_segmentation_logits\//, "segmentation"],
  [/^head_detection_heat\//, "detection"],
  [/^head_scene_logits\//, "scene"],
] as const;
const DEPTH_TENSORS = /^head_depth_(values|surface)\//;

/** The values of one tensor of the new model: `initial` where nothing is taken over. */
export function startValues(
  start: BaseParams,
  labels: Labels,
  name: string,
  shape: readonly number[],
  initial: Float32Array,
): Float32Array {
  const slot = start.layout.tensors.find((one) => one.name === name);
  if (slot === undefined) return initial;
  const values = tensorValues(start.params, slot);
  const same = shape.length === slot.shape.length && shape.every((side, i) => side === slot.shape[i]);
  if (start.labels === undefined) return same ? values.slice() : initial;
  const head = CLASS_TENSORS.find(([pattern]) => pattern.test(name))?.[1];
  if (head !== undefined) return byClass(values, slot.shape, start.labels[head], initial, shape, labels[head]);
  const flipped = (labels.depth.kind === "inverse") !== (start.labels.depth.kind === "inverse");
  if (DEPTH_TENSORS.test(name) && flipped) return initial;
  return same ? values.slice() : initial;
}

/** Copies the columns of classes that both know; the axes before the last, and the last's other part, must be equal. */
function byClass(
  from: Float32Array,
  fromShape: readonly number[],
  fromClasses: readonly string[],
  initial: Float32Array,
  shape: readonly number[],
  classes: readonly string[],
): Float32Array {
  const out = initial.slice();
  const last = shape.at(-1) as number;
  const fromLast = fromShape.at(-1) as number;
  const parts = last / classes.length;
  if (parts !== fromLast / fromClasses.length || out.length / last !== from.length / fromLast) return out;
  const known = new Map(fromClasses.map((name, index) => [name.toLowerCase(), index]));
  for (const [index, name] of classes.entries()) {
    const source = known.get(name.toLowerCase());
    if (source === undefined) continue;
    for (let row = 0; row < out.length / last; row++)
      for (let part = 0; part < parts; part++)
        out[row * last + part * classes.length + index] = from[
          row * fromLast + part * fromClasses.length + source
        ] as number;
  }
  return out;
}
