/**
 * A weight vector is one flat Float32Array with a named layout everywhere outside `models/`.
 * Canonical bytes are the little-endian float32 values in layout order; their SHA-256 is "the hash of the params".
 */
import { CodedError } from "../errors.ts";

export interface TensorSlot {
  readonly name: string;
  readonly shape: readonly number[];
  /** Index of the first value in the flat vector. */
  readonly offset: number;
  readonly size: number;
}

export interface ParamLayout {
  readonly tensors: readonly TensorSlot[];
  /** Number of values in the flat vector. */
  readonly length: number;
}

/** Lays tensors out one after the other. Names must differ. */
export function layoutOf(tensors: readonly { name: string; shape: readonly number[] }[]): ParamLayout {
  const slots: TensorSlot[] = [];
  const names = new Set<string>();
  let offset = 0;
  for (const { name, shape } of tensors) {
    if (names.has(name)) throw new CodedError("PARAMS_SHAPE", `two tensors are named ${name}`, { name });
    names.add(name);
    const size = shape.reduce((product, side) => product * side, 1);
    slots.push({ name, shape: [...shape], offset, size });
    offset += size;
  }
  return { tensors: slots, length: offset };
}

/** The values of one tensor: a view, not a copy. */
export function tensorValues(params: Float32Array, slot: TensorSlot): Float32Array {
  return params.subarray(slot.offset, slot.offset + slot.size);
}

/** Canonical bytes: a view on little-endian machines, which are all that TensorFlow.js runs on. */
export function canonicalBytes(params: Float32Array): Uint8Array {
  return new Uint8Array(params.buffer, params.byteOffset, params.byteLength);
}

/** Reads canonical bytes; throws PARAMS_SHAPE when the length is not the layout's. */
export function paramsFromBytes(layout: ParamLayout, bytes: Uint8Array): Float32Array {
  if (bytes.byteLength !== layout.length * 4) {
    throw new CodedError("PARAMS_SHAPE", `expected ${layout.length * 4} bytes of params, got ${bytes.byteLength}`, {
      expected: layout.length * 4,
      got: bytes.byteLength,
    });
  }
  // Not bytes.slice(): that of a Buffer is a view.
  return new Float32Array(new Uint8Array(bytes).buffer);
}
