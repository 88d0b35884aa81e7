/** Which number format a tensor is stored in, and how its values are cut into channels that share a scale. */
import type { ParamLayout, TensorSlot } from "../params/layout.ts";
import { CodedError } from "../errors.ts";

export type Dtype = "int8" | "fp16" | "fp32";

/** A tensor that is stored more exactly than the release's dtype, because int8 cost it too much. */
export interface Fallback {
  readonly tensor: string;
  readonly dtype: "fp16" | "fp32";
}

/** A scale of 4 bytes must serve at least this many values, otherwise int8 saves nothing worth its error. */
const MIN_VALUES_PER_SCALE = 16;

/** Length of the last axis longer than one: as many channels, each with its own scale. */
export function channelsOf(shape: readonly number[]): number {
  return shape.findLast((side) => side > 1) ?? 1;
}

/** The format of one tensor when the whole is stored as `dtype`: biases, norms and thin kernels stay in fp16. */
function tensorDtype(slot: TensorSlot, dtype: Dtype): Dtype {
  return dtype === "int8" && slot.size < MIN_VALUES_PER_SCALE * channelsOf(slot.shape) ? "fp16" : dtype;
}

/** The format of every tensor, in layout order. Throws PARAMS_SHAPE for a fallback that names no tensor. */
export function dtypesOf(layout: ParamLayout, dtype: Dtype, fallbacks: readonly Fallback[] = []): Dtype[] {
  const wanted = new Map(fallbacks.map((fallback) => [fallback.tensor, fallback.dtype]));
  const dtypes = layout.tensors.map((slot) => {
    const natural = tensorDtype(slot, dtype);
    const fallback = wanted.get(slot.name);
    wanted.delete(slot.name);
    return fallback === undefined || natural === "fp32" ? natural : fallback;
  });
  const unknown = wanted.keys().next();
  if (unknown.done !== true) {
    throw new CodedError("PARAMS_SHAPE", `no tensor is named ${unknown.value}`, { tensor: unknown.value });
  }
  return dtypes;
}

/** Bytes that a tensor takes in a pack, padding to 4 bytes included. */
export function storedBytes(slot: TensorSlot, dtype: Dtype): number {
  const raw =
    dtype === "int8" ? 4 * channelsOf(slot.shape) + slot.size : dtype === "fp16" ? 2 * slot.size : 4 * slot.size;
  return (raw + 3) & ~3;
}
