/**
 * `model/` = Q(R): the standalone quantized model. Clients derive it themselves to score it, so it is a pure
 * function of R, the dtype and the list of fallbacks, which every chain link carries.
 */
import type { ParamLayout } from "../params/layout.ts";
import { dtypesOf, type Dtype, type Fallback } from "./dtype.ts";
import { decodeTensors, encodeTensors, type EncodedTensors } from "./tensors.ts";

/** Bytes of model/weights.bin, and the params that whoever runs it computes with. */
export function encodeModel(
  layout: ParamLayout,
  params: Float32Array,
  dtype: Dtype,
  fallbacks: readonly Fallback[],
): EncodedTensors {
  return encodeTensors("model", layout, params, null, dtypesOf(layout, dtype, fallbacks));
}

/** The params of the quantized model: what `model/` scores with. */
export function deriveModel(
  params: Float32Array,
  layout: ParamLayout,
  dtype: Dtype,
  fallbacks: readonly Fallback[],
): Float32Array {
  return encodeModel(layout, params, dtype, fallbacks).params;
}

/** The params in model/weights.bin. Throws RELEASE_FORMAT. */
export function decodeModel(layout: ParamLayout, bytes: Uint8Array): Float32Array {
  return decodeTensors("model", layout, bytes, null);
}
