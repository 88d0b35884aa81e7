/** What the release formats need from outside; `shared/node/brotli.ts` and `shared/node/crypto.ts` provide it. */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Sha256 } from "../ids.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";

export type ReleaseCrypto = Pick<CryptoPort, "sha256" | "verify">;

export interface Compression {
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  /** Throws RELEASE_FORMAT for bytes that are not compressed ones, or would be longer than `maxBytes`. */
  decompress(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
}

/** SHA-256 as hexadecimal digits. */
export function sha256Of(crypto: Pick<ReleaseCrypto, "sha256">, bytes: Uint8Array): Sha256 {
  return bytesToHex(crypto.sha256(bytes)) as Sha256;
}
