/**
 * IEEE 754 binary16 ("fp16") from and to binary32, rounded to nearest, ties to even.
 * Values beyond 65504 do not fit: callers keep such tensors in fp32.
 */

/** The largest finite fp16 value. */
export const FP16_MAX = 65504;

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

/** The 16 bits of a finite value with |value| <= {@link FP16_MAX}. */
export function toFp16(value: number): number {
  real[0] = value;
  const bits = word[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const mantissa = bits & 0x7fffff;
  if (exponent >= 1) {
    const rounded = ((exponent << 10) | (mantissa >>> 13)) + roundUp(mantissa, 13);
    return sign | rounded;
  }
  // Below 2^-14: a multiple of 2^-24, the implicit one written out.
  if (exponent < -10) return sign;
  const shift = 14 - exponent;
  const full = mantissa | 0x800000;
  return sign | ((full >>> shift) + roundUp(full, shift));
}

/** 1 when dropping the lowest `shift` bits rounds up (nearest, ties to even). */
function roundUp(bits: number, shift: number): number {
  const half = 1 << (shift - 1);
  const rest = bits & ((1 << shift) - 1);
  return rest > half || (rest === half && ((bits >>> shift) & 1) === 1) ? 1 : 0;
}

/** Every fp16 value by its bits; not-a-numbers and infinities are NaN, which no decoder lets through. */
const VALUES: Float32Array = Float32Array.from({ length: 0x10000 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
});

/** The value of 16 bits; NaN for those that are not finite. */
export function fromFp16(bits: number): number {
  return VALUES[bits] as number;
}
