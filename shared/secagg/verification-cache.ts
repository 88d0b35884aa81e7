/**
 * Remembers signatures that were found valid. One per process is sound for a coordinator that sees the same certificate
 * every round, and lets the clients of a simulation share the work of verifying each other.
 */
import type { CryptoPort } from "./crypto-port.ts";
import { encodeTuple } from "./encoding.ts";

/** The same library, remembering up to `size` valid signatures, the oldest forgotten first. */
export function withVerificationCache(crypto: CryptoPort, size = 20_000): CryptoPort {
  const valid = new Set<string>();
  const verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    const name = String.fromCharCode(...crypto.sha256(encodeTuple(publicKey, message, signature)));
    if (valid.has(name)) return true;
    if (!crypto.verify(publicKey, message, signature)) return false;
    const oldest = valid.size < size ? undefined : valid.values().next().value;
    if (oldest !== undefined) valid.delete(oldest);
    valid.add(name);
    return true;
  };
  return {
    verify,
    sha256: (...chunks) => crypto.sha256(...chunks),
    hasher: () => crypto.hasher(),
    hkdfSha256: (...inputs) => crypto.hkdfSha256(...inputs),
    signingKey: (seed) => crypto.signingKey(seed),
    agreementKey: (secret) => crypto.agreementKey(secret),
    maskStream: (...inputs) => crypto.maskStream(...inputs),
    aeadSealInto: (...inputs) => crypto.aeadSealInto(...inputs),
    aeadOpen: (...inputs) => crypto.aeadOpen(...inputs),
  };
}
