/**
 * Shamir's secret sharing (1979) over GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, byte by byte.
 * The points are public (roster positions + 1), and so is everything that is branched on or looked up by: work on secret bytes
 * takes the same time whatever they are.
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

/** The multiples of one secret word vector by every 4-bit factor, and by every one of them times 16. */
function multiplesOf(target: Uint32Array, secret: Uint32Array): void {
  target.set(secret, WORDS);
  for (let factor = 2; factor < 16; factor++) {
    for (let i = 0; i < WORDS; i++) {
      const half = target[(factor >> 1) * WORDS + i] as number;
      target[factor * WORDS + i] = timesX(half) ^ (factor & 1 ? (secret[i] as number) : 0);
    }
  }
  for (let at = WORDS; at < 16 * WORDS; at++) {
    target[16 * WORDS + at] = timesX(timesX(timesX(timesX(target[at] as number))));
  }
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
  // Coefficient by coefficient: what it adds to a share is looked up by the power of a public point.
  const shares = new Uint32Array(points.length * WORDS);
  const multiples = new Uint32Array(32 * WORDS);
  const powers = new Uint8Array(points.length).fill(1);
  for (let degree = 0; degree < threshold; degree++) {
    const coefficient = wordsOf(degree === 0 ? secret : random.bytes(4 * WORDS));
    multiplesOf(multiples, coefficient);
    coefficient.fill(0);
    for (let place = 0; place < points.length; place++) {
      const power = powers[place] as number;
      const low = (power & 15) * WORDS;
      const high = (16 + (power >> 4)) * WORDS;
      const at = place * WORDS;
      for (let i = 0; i < WORDS; i++) {
        shares[at + i] = (shares[at + i] as number) ^ (multiples[low + i] as number) ^ (multiples[high + i] as number);
      }
      powers[place] = multiply(power, points[place] as number);
    }
  }
  multiples.fill(0);
  const bytes = new Uint8Array(shares.buffer);
  const out = points.map((_, place) => bytes.slice(place * 4 * WORDS, (place + 1) * 4 * WORDS));
  shares.fill(0);
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
  // Products as sums of logarithms: of all other points over their distances.
  const all = points.reduce((sum, point) => sum + (LOG[point] as number), 0);
  return points.map((x) => {
    let distances = LOG[x] as number;
    for (const other of points) if (other !== x) distances += LOG[other ^ x] as number;
    return EXP[(((all - distances) % 255) + 255) % 255] as number;
  });
}

/** Powers of the generator x + 1, and their exponents: for public values only. */
const EXP = new Uint8Array(255);
const LOG = new Uint8Array(256);
for (let exponent = 0, power = 1; exponent < 255; exponent++) {
  EXP[exponent] = power;
  LOG[power] = exponent;
  power ^= timesX(power) & 255;
}

function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  return EXP[((LOG[a] as number) + (LOG[b] as number)) % 255] as number;
}

function checkPoints(points: readonly number[]): void {
  const valid = points.every((point) => Number.isInteger(point) && point >= 1 && point <= MAX_SHARES);
  if (!valid || new Set(points).size !== points.length) throw new RangeError("points must be distinct, 1 to 255");
}
