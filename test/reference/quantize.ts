/** Slow twin of the release codecs: reads like docs/release-format.md, one value at a time. */
import type { TensorSlot } from "../../shared/params/layout.ts";
import type { Dtype } from "../../shared/quantize/dtype.ts";

/** What a reader reconstructs of one tensor: base + dequantize(quantize(target - base)). */
export function reconstructed(slot: TensorSlot, dtype: Dtype, target: Float32Array, base: Float32Array): number[] {
  const differences = Array.from(target, (value, i) => value - (base[i] as number));
  const sides = slot.shape.filter((side) => side > 1);
  const channels = sides.at(-1) ?? 1;
  return differences.map((difference, i) => {
    const from = base[i] as number;
    if (dtype === "fp32") return Math.fround(from + Math.fround(difference));
    if (dtype === "fp16") return Math.fround(from + nearestHalf(Math.fround(difference)));
    const sameChannel = differences.filter((_, k) => k % channels === i % channels);
    const scale = Math.fround(Math.fround(Math.max(...sameChannel.map(Math.abs))) / 127);
    if (scale === 0) return from;
    const q = Math.max(-127, Math.min(127, nearestEven(difference * (1 / scale))));
    return Math.fround(from + Math.fround(q * scale));
  });
}

function nearestEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** The nearest multiple of the spacing of binary16 around x. */
export function nearestHalf(x: number): number {
  if (x === 0) return 0;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(x))));
  const spacing = 2 ** (exponent - 10);
  return nearestEven(x / spacing) * spacing;
}
