/**
 * Writes and reads the tensors of a pack as differences to a base: `update` packs against the parent's params,
 * `model` packs against zero. The writer also gives what every reader will reconstruct, bit for bit.
 */
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import { tensorValues, type ParamLayout, type TensorSlot } from "../params/layout.ts";
import { channelsOf, type Dtype } from "./dtype.ts";
import { decodeFp16, encodeFp16, FP16_MAX } from "./fp16.ts";
import { channelMaxima, decodeInt8, encodeInt8 } from "./int8.ts";
import { newPack, openPack, pieceOffsets, refuse, type PackKind } from "./pack.ts";

export interface EncodedTensors {
  /** The pack, uncompressed. */
  readonly bytes: Uint8Array;
  /** What a reader reconstructs: base + dequantize(bytes). The base itself when nothing has changed. */
  readonly params: Float32Array;
  readonly changed: boolean;
  /** The formats used: those asked for, except where a value does not fit fp16. */
  readonly dtypes: readonly Dtype[];
}

/**
 * Encodes target - base in the given formats. `base` null means zero.
 * Throws UPDATE_NOT_FINITE naming the tensor that holds NaN or infinity.
 */
export function encodeTensors(
  kind: PackKind,
  layout: ParamLayout,
  target: Float32Array,
  base: Float32Array | null,
  wanted: readonly Dtype[],
  layoutHash?: Sha256,
): EncodedTensors {
  requireLength(layout, target);
  if (base !== null) requireLength(layout, base);
  const baseOf = baseReader(layout, base);
  const maxima = layout.tensors.map((slot, i) => {
    const found = new Float32Array(wanted[i] === "int8" ? channelsOf(slot.shape) : 1);
    if (!channelMaxima(tensorValues(target, slot), baseOf(slot), found)) {
      throw new CodedError("UPDATE_NOT_FINITE", `tensor ${slot.name} holds NaN or infinity`, { tensor: slot.name });
    }
    return found;
  });
  const dtypes = wanted.map((dtype, i): Dtype => {
    return dtype === "fp16" && (maxima[i]?.[0] as number) > FP16_MAX ? "fp32" : dtype;
  });
  const { bytes, payload } = newPack(kind, layout, dtypes, layoutHash === undefined ? {} : { layoutHash });
  const changed = !maxima.every((found) => found.every(isZero));
  if (!changed && base !== null) return { bytes, params: base, changed, dtypes };
  const offsets = pieceOffsets(layout, dtypes);
  const params = new Float32Array(layout.length);
  layout.tensors.forEach((slot, i) => {
    const piece = payload.subarray(offsets[i], offsets[i + 1]);
    const values = tensorValues(target, slot);
    const from = baseOf(slot);
    const out = tensorValues(params, slot);
    if (dtypes[i] === "int8") {
      const scales = floats(piece, (maxima[i] as Float32Array).length);
      scales.set((maxima[i] as Float32Array).map((max) => max / 127));
      if (scales.every(isZero)) out.set(from);
      else encodeInt8(values, from, scales, int8s(piece, scales.byteLength, slot.size), out);
    } else if (dtypes[i] === "fp16") {
      const halves = new Uint16Array(piece.buffer, piece.byteOffset, slot.size);
      encodeFp16(values, from, halves, out);
    } else {
      const stored = floats(piece, slot.size);
      for (let k = 0; k < slot.size; k++) {
        stored[k] = (values[k] as number) - (from[k] as number);
        out[k] = plus(from[k] as number, stored[k] as number);
      }
    }
  });
  return { bytes, params, changed, dtypes };
}

/**
 * base + dequantize(pack). `out` may be `base` itself, then nothing is copied; by default it is a new array.
 * Throws RELEASE_FORMAT for bytes that no encoder wrote.
 */
export function decodeTensors(
  kind: PackKind,
  layout: ParamLayout,
  bytes: Uint8Array,
  base: Float32Array | null,
  out: Float32Array = new Float32Array(layout.length),
): Float32Array {
  const { dtypes, payload } = openPack(bytes, kind, layout);
  const offsets = pieceOffsets(layout, dtypes);
  if (payload.length !== offsets.at(-1)) refuse(`expected ${offsets.at(-1)} bytes of tensors, got ${payload.length}`);
  if (base !== null) requireLength(layout, base);
  const baseOf = baseReader(layout, base);
  layout.tensors.forEach((slot, i) => {
    const piece = payload.subarray(offsets[i], offsets[i + 1]);
    const from = baseOf(slot);
    const to = tensorValues(out, slot);
    if (dtypes[i] === "int8") {
      const scales = floats(piece, channelsOf(slot.shape));
      if (!scales.every(isScale)) refuse(`a scale of ${slot.name} is not finite`);
      // A tensor that did not change (frozen, or nobody's data reaches it) costs a copy.
      if (scales.every(isZero)) to.set(from);
      else decodeInt8(int8s(piece, scales.byteLength, slot.size), scales, from, to);
    } else if (dtypes[i] === "fp16") {
      const halves = new Uint16Array(piece.buffer, piece.byteOffset, slot.size);
      if (!decodeFp16(halves, from, to)) refuse(`a value of ${slot.name} is not finite`);
    } else {
      const stored = floats(piece, slot.size);
      for (let k = 0; k < slot.size; k++) {
        const value = stored[k] as number;
        if (!Number.isFinite(value)) refuse(`a value of ${slot.name} is not finite`);
        to[k] = plus(from[k] as number, value);
      }
    }
  });
  return out;
}

function baseReader(layout: ParamLayout, base: Float32Array | null): (slot: TensorSlot) => Float32Array {
  if (base !== null) return (slot) => tensorValues(base, slot);
  const zeros = new Float32Array(layout.tensors.reduce((most, slot) => Math.max(most, slot.size), 0));
  return (slot) => zeros.subarray(0, slot.size);
}

/** No difference leaves every bit, the sign of zero included. */
function plus(from: number, difference: number): number {
  return difference === 0 ? from : from + difference;
}

function isScale(value: number): boolean {
  return value >= 0 && Number.isFinite(value);
}

function isZero(value: number): boolean {
  return value === 0;
}

function floats(piece: Uint8Array, length: number): Float32Array {
  return new Float32Array(piece.buffer, piece.byteOffset, length);
}

function int8s(piece: Uint8Array, offset: number, length: number): Int8Array {
  return new Int8Array(piece.buffer, piece.byteOffset + offset, length);
}

function requireLength(layout: ParamLayout, params: Float32Array): void {
  if (params.length !== layout.length) {
    throw new CodedError("PARAMS_SHAPE", `expected ${layout.length} params, got ${params.length}`, {
      expected: layout.length,
      got: params.length,
    });
  }
}
