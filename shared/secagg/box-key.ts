/**
 * The X25519 key of an Ed25519 identity (RFC 7748, section 4.1: u = (1 + y) / (1 - y) mod 2^255 - 19), so that the one
 * key of the coordinator that clients pinned can also be sealed to. Same keys as libsodium's
 * crypto_sign_ed25519_pk_to_curve25519 and _sk_to_curve25519.
 */
import { sha512 } from "@noble/hashes/sha2.js";
import { CodedError } from "../errors.ts";

const P = 2n ** 255n - 19n;

/** The inversion takes a fifth of a millisecond and a party seals to one coordinator: the last ones are remembered. */
const KEPT = 64;
const known = new Map<string, Uint8Array>();

/** The X25519 public key of an Ed25519 public key (32 bytes); throws AUTH_REFUSED when it is no key. */
export function boxKeyOfIdentity(identity: Uint8Array): Uint8Array {
  const name = identity.join();
  const before = known.get(name);
  if (before !== undefined) return before.slice();
  const key = convert(identity);
  if (known.size >= KEPT) known.clear();
  known.set(name, key);
  return key.slice();
}

function convert(identity: Uint8Array): Uint8Array {
  let y = 0n;
  for (let i = 31; i >= 0; i--) y = (y << 8n) | BigInt(identity[i] ?? 0);
  y &= (1n << 255n) - 1n;
  if (identity.length !== 32 || y >= P || y === 1n) throw new CodedError("AUTH_REFUSED", "not an Ed25519 public key");
  let u = ((1n + y) * power(((1n - y) % P) + P, P - 2n)) % P;
  return Uint8Array.from({ length: 32 }, () => {
    const byte = Number(u & 255n);
    u >>= 8n;
    return byte;
  });
}

/** The X25519 secret of an Ed25519 seed. */
export function boxSecretOfSeed(seed: Uint8Array): Uint8Array {
  return sha512(seed).slice(0, 32);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base % P, bits = exponent; bits > 0n; bits >>= 1n, square = (square * square) % P) {
    if (bits & 1n) result = (result * square) % P;
  }
  return result;
}
