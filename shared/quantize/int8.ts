/**
 * Symmetric int8 with one scale per channel (last axis): value = scale * q, q in [-127, 127], scale = max |value| / 127.
 * All of it works on a difference `target - base`, so that models (base 0) and updates share the arithmetic.
 * Decoding is binary32 in a fixed order, base + fround(q * scale), so everybody reconstructs the same bits.
 */

/** Adding and subtracting 1.5 * 2^52 rounds a double to the nearest integer, ties to even; far faster than Math.round. */
const ROUNDING = 6_755_399_441_055_744;

/**
 * Largest |target - base| of every channel into `maxima` (length = channels).
 * Returns false when a difference is not finite.
 */
export function channelMaxima(target: Float32Array, base: Float32Array, maxima: Float32Array): boolean {
  const channels = maxima.length;
  let poison = 0;
  maxima.fill(0);
  if (channels === 1) {
    let largest = 0;
    for (let i = 0; i < target.length; i++) {
      const size = Math.abs((target[i] as number) - (base[i] as number));
      poison += size - size;
      if (size > largest) largest = size;
    }
    maxima[0] = largest;
  } else {
    for (let i = 0; i < target.length;) {
      for (let channel = 0; channel < channels; channel++, i++) {
        const size = Math.abs((target[i] as number) - (base[i] as number));
        poison += size - size;
        if (size > (maxima[channel] as number)) maxima[channel] = size;
      }
    }
  }
  return poison === 0 && maxima.every(Number.isFinite);
}

/** Quantizes target - base into `q` and writes what a decoder will reconstruct into `out` (which may be `base`). */
export function encodeInt8(
  target: Float32Array,
  base: Float32Array,
  scales: Float32Array,
  q: Int8Array,
  out: Float32Array,
): void {
  const channels = scales.length;
  const inverse = Float64Array.from(scales, (scale) => (scale === 0 ? 0 : 1 / scale));
  for (let i = 0; i < target.length;) {
    for (let channel = 0; channel < channels; channel++, i++) {
      const from = base[i] as number;
      const steps = ((target[i] as number) - from) * (inverse[channel] as number);
      // Only scales too small for full precision lead beyond 127.
      const rounded = steps > 127 ? 127 : steps < -127 ? -127 : steps + ROUNDING - ROUNDING;
      q[i] = rounded;
      out[i] = from + Math.fround(rounded * (scales[channel] as number));
    }
  }
}

/** out = base + q * scale; `out` may be `base`. */
export function decodeInt8(q: Int8Array, scales: Float32Array, base: Float32Array, out: Float32Array): void {
  const channels = scales.length;
  for (let i = 0; i < q.length;) {
    for (let channel = 0; channel < channels; channel++, i++) {
      out[i] = (base[i] as number) + Math.fround((q[i] as number) * (scales[channel] as number));
    }
  }
}
