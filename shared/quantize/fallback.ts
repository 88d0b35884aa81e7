/**
 * Which tensors `model/` should store more exactly when quantization costs a head too much. There is no data where
 * this is decided, so a tensor's cost is its noise-to-signal ratio: squared quantization error over squared values.
 * Their sum over the tensors stands for the noise at the outputs; near an optimum a score falls in proportion to it.
 */
import { tensorValues, type ParamLayout, type TensorSlot } from "../params/layout.ts";
import { dtypesOf, storedBytes, type Dtype, type Fallback } from "./dtype.ts";
import { encodeModel } from "./model.ts";

export interface FallbackChoice {
  /** All fallbacks, the earlier ones included, in layout order. */
  readonly fallbacks: Fallback[];
  /** Noise that is left as a share of the noise before, in [0, 1]. */
  readonly remaining: number;
}

interface Upgrade {
  readonly index: number;
  readonly to: "fp16" | "fp32";
  readonly gain: number;
  readonly bytes: number;
}

/** Adds fallbacks, most noise per byte first, until at most `targetShare` of the noise is left. */
export function chooseFallbacks(
  layout: ParamLayout,
  params: Float32Array,
  dtype: Dtype,
  fallbacks: readonly Fallback[],
  targetShare: number,
): FallbackChoice {
  const current = dtypesOf(layout, dtype, fallbacks);
  const noise = noiseOf(layout, params, encodeModel(layout, params, dtype, fallbacks).params);
  const halfNoise = noiseOf(layout, params, encodeModel(layout, params, "fp16", []).params);
  const total = noise.reduce((sum, value) => sum + value, 0);
  const upgrade = (slot: TensorSlot, index: number, from: Dtype, to: "fp16" | "fp32"): Upgrade => ({
    index,
    to,
    gain: from === "int8" ? (noise[index] as number) - (halfNoise[index] as number) : (halfNoise[index] as number),
    bytes: storedBytes(slot, to) - storedBytes(slot, from),
  });
  const toHalf = layout.tensors.flatMap((slot, i) => (current[i] === "int8" ? [upgrade(slot, i, "int8", "fp16")] : []));
  const toWhole = layout.tensors.flatMap((slot, i) =>
    current[i] === "fp32" ? [] : [upgrade(slot, i, "fp16", "fp32")],
  );
  const chosen = new Map(fallbacks.map((fallback) => [fallback.tensor, fallback.dtype]));
  let left = total;
  for (const step of [...worthFirst(toHalf), ...worthFirst(toWhole)]) {
    if (left <= targetShare * total) break;
    chosen.set((layout.tensors[step.index] as TensorSlot).name, step.to);
    left = Math.max(0, left - step.gain);
  }
  const ordered = layout.tensors.flatMap(({ name }) => {
    const stored = chosen.get(name);
    return stored === undefined ? [] : [{ tensor: name, dtype: stored }];
  });
  return { fallbacks: ordered, remaining: total === 0 ? 0 : left / total };
}

function worthFirst(upgrades: readonly Upgrade[]): Upgrade[] {
  return upgrades.toSorted((a, b) => b.gain / b.bytes - a.gain / a.bytes || a.index - b.index);
}

/** Noise-to-signal ratio of every tensor. */
function noiseOf(layout: ParamLayout, exact: Float32Array, stored: Float32Array): number[] {
  return layout.tensors.map((slot) => {
    const values = tensorValues(exact, slot);
    const other = tensorValues(stored, slot);
    let noise = 0;
    let signal = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const error = value - (other[i] as number);
      noise += error * error;
      signal += value * value;
    }
    return signal === 0 ? 0 : noise / signal;
  });
}
