/** The slow twin of `shared/secagg/mask.ts`: the whole stream of each mask, BigInt arithmetic mod 2^m. */
import type { Mask, Words } from "../../shared/secagg/mask.ts";
import { ctrKeystream } from "./aes.ts";

export function addMasksPlainly(vector: Words, masks: readonly Mask[]): bigint[] {
  const size = vector.BYTES_PER_ELEMENT;
  const modulus = 1n << BigInt(8 * size);
  const sums = Array.from(vector, BigInt);
  for (const { key, sign } of masks) {
    const stream = ctrKeystream(key, new Uint8Array(16), vector.byteLength);
    for (const [i, sum] of sums.entries()) {
      let word = 0n;
      for (let byte = size - 1; byte >= 0; byte--) word = word * 256n + BigInt(stream[i * size + byte] as number);
      sums[i] = (((sum + BigInt(sign) * word) % modulus) + modulus) % modulus;
    }
  }
  return sums;
}
