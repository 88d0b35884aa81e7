/** The slow twin of `shared/node/crypto.ts`: tweetnacl, noble-hashes and the AES beside this file. Same bytes. */
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import nacl from "tweetnacl";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { ctrKeystream, gcmSeal } from "./aes.ts";

export const referenceCrypto: CryptoPort = {
  sha256: (...chunks) => sha256(concatBytes(...chunks)),
  hasher() {
    const hash = sha256.create();
    return { update: (chunk) => void hash.update(chunk), digest: () => hash.digest() };
  },
  hkdfSha256: (inputKey, salt, info, length) => hkdf(sha256, inputKey, salt, info, length),
  signingKey(seed) {
    const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(seed);
    return { publicKey, sign: (message) => nacl.sign.detached(message, secretKey) };
  },
  verify(publicKey, message, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    return nacl.sign.detached.verify(message, signature, publicKey);
  },
  agreementKey(secret) {
    const kept = secret.slice();
    return {
      publicKey: nacl.scalarMult.base(kept),
      agree(peer) {
        if (peer.length !== 32) return null;
        const shared = nacl.scalarMult(kept, peer);
        return shared.some((byte) => byte !== 0) ? shared : null;
      },
    };
  },
  maskStream(key) {
    let block = 0;
    return {
      next(byteLength) {
        const counter = new Uint8Array(16);
        new DataView(counter.buffer).setUint32(12, block);
        block += Math.ceil(byteLength / 16);
        return ctrKeystream(key, counter, byteLength);
      },
    };
  },
  aeadSealInto: (out, ...inputs) => out.set(gcmSeal(...inputs)),
  aeadOpen(key, nonce, sealed, associated) {
    if (sealed.length < 16) return null;
    // CTR is its own inverse: sealing the ciphertext gives the plaintext.
    const plaintext = gcmSeal(key, nonce, sealed.subarray(0, -16), associated).slice(0, -16);
    const again = gcmSeal(key, nonce, plaintext, associated);
    return again.every((byte, i) => byte === sealed[i]) ? plaintext : null;
  },
};
