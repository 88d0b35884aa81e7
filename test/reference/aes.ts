/** AES-256 (FIPS 197) as it is written there, with CTR and GCM (SP 800-38A, 38D) on top: slow, for tests only. */

const rotl8 = (x: number, n: number) => ((x << n) | (x >> (8 - n))) & 255;
const xtime = (x: number) => ((x << 1) ^ (x & 128 ? 0x11b : 0)) & 255;

/** FIPS 197, section 5.1.1, by walking the multiplicative group with generator 3 and its inverse. */
const SBOX = (() => {
  const box = new Uint8Array(256);
  let p = 1;
  let q = 1;
  do {
    p = p ^ xtime(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 255;
    if (q & 128) q ^= 0x09;
    box[p] = q ^ rotl8(q, 1) ^ rotl8(q, 2) ^ rotl8(q, 3) ^ rotl8(q, 4) ^ 0x63;
  } while (p !== 1);
  box[0] = 0x63;
  return box;
})();
const sub = (x: number) => SBOX[x] as number;

/** 15 round keys of 16 bytes (section 5.2). */
export function expandKey(key: Uint8Array): Uint8Array[] {
  const words: number[][] = Array.from({ length: 8 }, (_, i) => [...key.subarray(4 * i, 4 * i + 4)]);
  let rcon = 1;
  for (let i = 8; i < 60; i++) {
    let word = [...(words[i - 1] as number[])];
    if (i % 8 === 0) {
      word = [...word.slice(1), word[0] as number].map(sub);
      word[0] = (word[0] as number) ^ rcon;
      rcon = xtime(rcon);
    } else if (i % 8 === 4) {
      word = word.map(sub);
    }
    words.push(word.map((byte, j) => byte ^ ((words[i - 8] as number[])[j] as number)));
  }
  return Array.from({ length: 15 }, (_, round) => Uint8Array.from(words.slice(4 * round, 4 * round + 4).flat()));
}

/** One block (section 5.1). */
export function encryptBlock(keys: readonly Uint8Array[], block: Uint8Array): Uint8Array {
  const addKey = (s: Uint8Array, round: number) =>
    s.map((byte, i) => byte ^ ((keys[round] as Uint8Array)[i] as number));
  let state = addKey(block, 0);
  for (let round = 1; round < 15; round++) {
    const shifted = state.map((_, i) => sub(state[(i + 4 * (i % 4)) % 16] as number));
    state = addKey(round < 14 ? mixColumns(shifted) : shifted, round);
  }
  return state;
}

function mixColumns(state: Uint8Array): Uint8Array {
  return state.map((_, i) => {
    const at = (k: number) => state[(i & ~3) + ((i + k) % 4)] as number;
    return xtime(at(0)) ^ xtime(at(1)) ^ at(1) ^ at(2) ^ at(3);
  });
}

/** Adds one to the last `bytes` bytes of a counter block, big-endian. */
function increment(counter: Uint8Array, bytes: number): void {
  for (let i = 15; i >= 16 - bytes; i--) {
    counter[i] = ((counter[i] as number) + 1) & 255;
    if (counter[i] !== 0) return;
  }
}

export function ctrKeystream(key: Uint8Array, counter: Uint8Array, length: number, counterBytes = 16): Uint8Array {
  const keys = expandKey(key);
  const block = counter.slice();
  const out = new Uint8Array(Math.ceil(length / 16) * 16);
  for (let at = 0; at < length; at += 16) {
    out.set(encryptBlock(keys, block), at);
    increment(block, counterBytes);
  }
  return out.slice(0, length);
}

/** Product in GF(2^128), bit by bit (SP 800-38D, section 6.3). */
function multiply(x: bigint, y: bigint): bigint {
  let z = 0n;
  let v = y;
  for (let i = 127n; i >= 0n; i--) {
    if ((x >> i) & 1n) z ^= v;
    v = v & 1n ? (v >> 1n) ^ (0xe1n << 120n) : v >> 1n;
  }
  return z;
}

const toBig = (bytes: Uint8Array) => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

function ghash(h: bigint, data: Uint8Array): bigint {
  let y = 0n;
  for (let at = 0; at < data.length; at += 16) y = multiply(y ^ toBig(data.subarray(at, at + 16)), h);
  return y;
}

function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(bytes.length / 16) * 16);
  out.set(bytes);
  return out;
}

/** Ciphertext and tag of AES-256-GCM with a nonce of 12 bytes. */
export function gcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
  const counter = new Uint8Array(16);
  counter.set(nonce);
  counter[15] = 1;
  const stream = ctrKeystream(key, counter, 16 + plaintext.length, 4);
  const ciphertext = plaintext.map((byte, i) => byte ^ (stream[16 + i] as number));
  const lengths = new Uint8Array(16);
  new DataView(lengths.buffer).setUint32(4, associated.length * 8);
  new DataView(lengths.buffer).setUint32(12, ciphertext.length * 8);
  const h = toBig(encryptBlock(expandKey(key), new Uint8Array(16)));
  const s = ghash(h, Uint8Array.from([...padded(associated), ...padded(ciphertext), ...lengths]));
  const tag = Array.from({ length: 16 }, (_, i) => Number((s >> BigInt(8 * (15 - i))) & 255n) ^ (stream[i] as number));
  return Uint8Array.from([...ciphertext, ...tag]);
}
