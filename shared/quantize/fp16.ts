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

/** Values of one piece that stays in cache. */
const PIECE = 4096;
const differences = new Float32Array(PIECE);
const differenceBits = new Uint32Array(differences.buffer);
/** Magnitudes from 2^-14 up to below 65520, which round to a normal fp16 by adding to their bits. */
const NORMAL_FROM = 0x38800000;
const NORMAL_END = 0x477ff000;

/** Writes fp16 of target - base into `halves`, and what a decoder makes of it into `out` (which may be `base`). */
export function encodeFp16(target: Float32Array, base: Float32Array, halves: Uint16Array, out: Float32Array): void {
  for (let at = 0; at < target.length; at += PIECE) {
    const size = Math.min(PIECE, target.length - at);
    for (let k = 0; k < size; k++) differences[k] = (target[at + k] as number) - (base[at + k] as number);
    for (let k = 0; k < size; k++) {
      const bits = differenceBits[k] as number;
      const magnitude = bits & 0x7fffffff;
      const half =
        magnitude >= NORMAL_FROM && magnitude < NORMAL_END
          ? ((bits >>> 16) & 0x8000) | ((magnitude - 0x37fff001 + ((magnitude >>> 13) & 1)) >>> 13)
          : toFp16(differences[k] as number);
      halves[at + k] = half;
      const difference = VALUES[half] as number;
      const from = base[at + k] as number;
      out[at + k] = difference === 0 ? from : from + difference;
    }
  }
}

/** out = base + fp16, no difference leaves every bit; false when a value is not finite. `out` may be `base`. */
export function decodeFp16(halves: Uint16Array, base: Float32Array, out: Float32Array): boolean {
  let poison = 0;
  for (let k = 0; k < halves.length; k++) {
    const difference = VALUES[halves[k] as number] as number;
    const from = base[k] as number;
    poison += difference - difference;
    out[k] = difference === 0 ? from : from + difference;
  }
  return poison === 0;
}
