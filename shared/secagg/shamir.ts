/**
 * Shamir's secret sharing (1979) over GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, byte by byte.
 * The points are public (roster positions + 1); work on secret bytes neither branches nor looks up a table.
 * Same shares as the `shamir-secret-sharing` package, its twin in the tests, but with randomness as an argument.
 */
import type { SecureRng } from "../rng/secure.ts";

const MAX_SHARES = 255;
/** Secrets and shares are 32 bytes: eight words of four field elements. */
const WORDS = 8;

/** Multiplies the four bytes of a word by x. */
function timesX(word: number): number {
  return ((word & 0x7f7f7f7f) << 1) ^ (((word >>> 7) & 0x01010101) * 0x1b);
}

/** Adds `factor` (public) times `source` to `target`. */
function addScaled(target: Uint32Array, source: Uint32Array, factor: number): void {
  for (let i = 0; i < WORDS; i++) {
    let power = source[i] as number;
    let sum = target[i] as number;
    for (let bits = factor; bits !== 0; bits >>= 1) {
      if (bits & 1) sum ^= power;
      power = timesX(power);
    }
    target[i] = sum;
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}

/**
 * One share (32 bytes) for each point. Any `threshold` of them give the secret back, fewer say nothing about it.
 * @param secret 32 bytes
 * @param points distinct, each 1..255
 */
export function split(
  random: SecureRng,
  secret: Uint8Array,
  points: readonly number[],
  threshold: number,
): Uint8Array[] {
  checkPoints(points);
  if (secret.length !== 4 * WORDS) throw new RangeError(`a secret has 32 bytes, got ${secret.length}`);
  if (threshold < 2 || threshold > points.length) {
    throw new RangeError(`threshold ${threshold} for ${points.length} shares`);
  }
  const coefficients = [wordsOf(secret)];
  for (let i = 1; i < threshold; i++) coefficients.push(wordsOf(random.bytes(4 * WORDS)));
  const out = points.map((point) => {
    let value = new Uint32Array(WORDS);
    for (let i = threshold - 1; i >= 0; i--) {
      const next = (coefficients[i] as Uint32Array).slice();
      addScaled(next, value, point);
      value = next;
    }
    return new Uint8Array(value.buffer);
  });
  for (const coefficient of coefficients) coefficient.fill(0);
  return out;
}

/** The secret behind the shares at these points; nonsense if they are fewer than the threshold or false. */
export function combine(points: readonly number[], shares: readonly Uint8Array[]): Uint8Array {
  const weights = weightsAtZero(points);
  const sum = new Uint32Array(WORDS);
  for (const [i, share] of shares.entries()) addScaled(sum, wordsOf(share), weights[i] as number);
  return new Uint8Array(sum.buffer);
}

/** Lagrange weights of the points for the value at 0. All public. */
function weightsAtZero(points: readonly number[]): number[] {
  checkPoints(points);
  return points.map((x) => {
    let numerator = 1;
    let denominator = 1;
    for (const other of points) {
      if (other === x) continue;
      numerator = multiply(numerator, other);
      denominator = multiply(denominator, other ^ x);
    }
    return multiply(numerator, inverse(denominator));
  });
}

function multiply(a: number, b: number): number {
  let product = 0;
  for (let bits = b, power = a; bits !== 0; bits >>= 1, power = timesX(power) & 255) if (bits & 1) product ^= power;
  return product;
}

/** a^254. */
function inverse(a: number): number {
  let result = 1;
  let square = a;
  for (let i = 0; i < 7; i++) {
    square = multiply(square, square);
    result = multiply(result, square);
  }
  return result;
}

function checkPoints(points: readonly number[]): void {
  const valid = points.every((point) => Number.isInteger(point) && point >= 1 && point <= MAX_SHARES);
  if (!valid || new Set(points).size !== points.length) throw new RangeError("points must be distinct, 1 to 255");
}
