/**
 * The step from one version to the next: R_t = R_(t-1) + dequantize(Q(S_t - R_(t-1))), where S is the server's exact
 * state and R what everybody can reconstruct. What Q lost stays in S - R and is sent with the next difference
 * (error feedback, Seide et al. 2014), so nothing drifts.
 */
import type { Sha256 } from "../ids.ts";
import type { ParamLayout } from "../params/layout.ts";
import { dtypesOf, type Dtype } from "./dtype.ts";
import { decodeTensors, encodeTensors, type EncodedTensors } from "./tensors.ts";

/** The update's bytes (uncompressed) and the R they lead to: `parent` itself when nothing changed. Throws UPDATE_NOT_FINITE. */
export function encodeUpdate(
  layout: ParamLayout,
  serverParams: Float32Array,
  parent: Float32Array,
  dtype: Dtype,
  layoutHash?: Sha256,
): EncodedTensors {
  return encodeTensors("update", layout, serverParams, parent, dtypesOf(layout, dtype), layoutHash);
}

/** R_t from R_(t-1); `out` may be `parent`. Throws RELEASE_FORMAT. */
export function applyUpdate(
  layout: ParamLayout,
  parent: Float32Array,
  bytes: Uint8Array,
  out?: Float32Array,
): Float32Array {
  return decodeTensors("update", layout, bytes, parent, out);
}
