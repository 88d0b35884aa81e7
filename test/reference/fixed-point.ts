/** The slow twin of `shared/quantize/fixed-point.ts`: one coordinate at a time, as docs/protocol.md writes it. */

/** Nearest integer, ties to even. */
function roundTiesToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export function encodePlainly(
  delta: Float32Array,
  rule: { qMax: number; bound: number; wordBits: number; factor: number; weight: number },
): { words: number[]; clipped: number } {
  let clipped = 0;
  const scale = (rule.qMax / rule.bound) * rule.factor;
  const words = Array.from(delta, (x) => {
    if (Math.abs(x * scale) > rule.qMax) clipped++;
    const q = Math.min(rule.qMax, Math.max(-rule.qMax, roundTiesToEven(x * scale)));
    return Number(BigInt.asUintN(rule.wordBits, BigInt(q) * BigInt(rule.weight)));
  });
  return { words, clipped };
}
