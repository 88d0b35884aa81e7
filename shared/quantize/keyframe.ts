/**
 * A keyframe holds R itself, lossless: each float rotated left by one bit (sign last, exponent in one byte) and cut
 * into four byte planes, so that the compressor finds the exponents beside each other and passes over the rest.
 */
import type { ParamLayout } from "../params/layout.ts";
import { layoutHashOf, newPack, openPack, refuse } from "./pack.ts";

/** A keyframe's bytes, uncompressed; they name the tensors, too. */
export function encodeKeyframe(layout: ParamLayout, params: Float32Array): Uint8Array {
  const length = layout.length;
  const dtypes = layout.tensors.map(() => "fp32" as const);
  const { bytes, payload } = newPack("keyframe", layout, dtypes, {
    layoutHash: layoutHashOf(layout),
    withLayout: true,
    payloadBytes: 4 * length,
  });
  const words = new Uint32Array(params.buffer, params.byteOffset, length);
  const [exponents, high, middle, low] = planesOf(payload, length);
  for (let i = 0; i < length; i++) {
    const word = words[i] as number;
    exponents[i] = word >>> 23;
    high[i] = word >>> 15;
    middle[i] = word >>> 7;
    low[i] = (word << 1) | (word >>> 31);
  }
  return bytes;
}

/** The layout and R of a keyframe. Throws RELEASE_FORMAT. */
export function decodeKeyframe(
  bytes: Uint8Array,
  expected: ParamLayout | null = null,
): { layout: ParamLayout; params: Float32Array } {
  const { layout, payload } = openPack(bytes, "keyframe", expected);
  const length = layout.length;
  if (payload.length !== 4 * length) refuse(`expected ${4 * length} bytes of params, got ${payload.length}`);
  const params = new Float32Array(length);
  const words = new Uint32Array(params.buffer);
  const [exponents, high, middle, low] = planesOf(payload, length);
  for (let i = 0; i < length; i++) {
    const last = low[i] as number;
    words[i] =
      ((last & 1) << 31) |
      ((exponents[i] as number) << 23) |
      ((high[i] as number) << 15) |
      ((middle[i] as number) << 7) |
      (last >>> 1);
  }
  return { layout, params };
}

function planesOf(payload: Uint8Array, length: number): [Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  const plane = (index: number) => payload.subarray(index * length, (index + 1) * length);
  return [plane(0), plane(1), plane(2), plane(3)];
}
