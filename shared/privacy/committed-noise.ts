/**
 * The noise of a trusted coordinator, from a seed that it draws for each attempt. Its hash is part of the session's id, so
 * the coordinator is bound to the noise before any vector comes; whoever is shown the seed can make the noise again. 32
 * random bytes cannot be guessed from their hash. The seed is the coordinator's secret: who has it can take the noise off.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Sha256 } from "../ids.ts";
import { SecureRng } from "../rng/secure.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";
import { encodeTuple } from "../secagg/encoding.ts";

/** 32 bytes, in hexadecimal. */
export type NoiseSeed = string;

/** A seed and what may be said of it. */
export interface CommittedNoise {
  readonly seed: NoiseSeed;
  readonly commitment: Sha256;
}

export function drawNoiseSeed(crypto: Pick<CryptoPort, "sha256">, random: SecureRng): CommittedNoise {
  const seed = bytesToHex(random.bytes(32));
  return { seed, commitment: noiseCommitment(crypto, seed) };
}

/** SHA-256 of (`allulook/noise-seed/v1`, seed). */
export function noiseCommitment(crypto: Pick<CryptoPort, "sha256">, seed: NoiseSeed): Sha256 {
  return bytesToHex(crypto.sha256(encodeTuple("allulook/noise-seed/v1", hexToBytes(seed)))) as Sha256;
}

/** The seed's random bytes in one session: AES-256-CTR keyed by HKDF (salt = sid, info = (`allulook/noise/v1`)). */
export function noiseRandom(crypto: CryptoPort, sid: Sha256, seed: NoiseSeed): SecureRng {
  const key = crypto.hkdfSha256(hexToBytes(seed), hexToBytes(sid), encodeTuple("allulook/noise/v1"), 32);
  const stream = crypto.maskStream(key);
  key.fill(0);
  return new SecureRng((bytes) => bytes.set(stream.next(bytes.length)));
}
