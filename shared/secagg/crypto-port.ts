/**
 * What secure aggregation needs from a cryptographic library. `shared/node/crypto.ts` implements it with
 * node:crypto; `test/reference/crypto.ts` is the slow twin that must give the same bytes.
 * SHA-256: FIPS 180-4. HKDF: RFC 5869. Ed25519: RFC 8032. X25519: RFC 7748. AES: FIPS 197; CTR and GCM: SP 800-38A/D.
 */

/** An Ed25519 key that signs; the secret stays inside. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** An X25519 key pair; the secret stays inside. */
export interface AgreementKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The shared secret of 32 bytes, or null when the peer's key is of low order (RFC 7748, section 6.1). */
  agree(peerPublicKey: Uint8Array): Uint8Array | null;
}

/** AES-256-CTR keystream from counter 0; see `mask.ts` for how its bytes become mask words. */
export interface MaskStream {
  /** The next `byteLength` bytes, aligned to 8 bytes; valid until the next call. Only the last call may ask for a number not divisible by 16. */
  next(byteLength: number): Uint8Array;
}

export interface Hasher {
  update(chunk: Uint8Array): void;
  /** 32 bytes; the hasher is spent afterwards. */
  digest(): Uint8Array;
}

export interface CryptoPort {
  /** SHA-256 of the chunks one after the other. */
  sha256(...chunks: readonly Uint8Array[]): Uint8Array;
  /** SHA-256 of bytes that come in pieces. */
  hasher(): Hasher;
  hkdfSha256(inputKey: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array;
  /** The Ed25519 key of a 32-byte seed. */
  signingKey(seed: Uint8Array): SigningKey;
  /** False for a wrong signature, and for a key or signature that is none. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** The X25519 key of a 32-byte secret. */
  agreementKey(secret: Uint8Array): AgreementKey;
  /** Keystream of a 32-byte key. A key makes one stream, once. */
  maskStream(key: Uint8Array): MaskStream;
  /** AES-256-GCM: key 32, nonce 12 bytes; writes ciphertext and the 16-byte tag behind it to `out`, which may overlap. */
  aeadSealInto(
    out: Uint8Array,
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array,
  ): void;
  /** Null when the tag is wrong. */
  aeadOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | null;
}
