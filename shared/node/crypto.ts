/** {@link CryptoPort} by node:crypto. Key objects are built once; peers' public keys are kept while in use. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash as hashOnce,
  randomFillSync,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { SecureRng } from "../rng/secure.ts";
import type { AgreementKey, CryptoPort, MaskStream, SigningKey } from "../secagg/crypto-port.ts";
import { fromBase64, toBase64 } from "../secagg/encoding.ts";

type Curve = "Ed25519" | "X25519";

/** Public keys held as key objects; a cohort of 64 has three each, a simulation shares them. */
const KEPT_KEYS = 4096;

export class NodeCrypto implements CryptoPort {
  readonly #publicKeys = new Map<string, KeyObject>();

  sha256(...chunks: readonly Uint8Array[]): Uint8Array {
    const [only] = chunks;
    // Twice as fast for the short messages of the protocol.
    if (only !== undefined && chunks.length === 1) return fromLatin1(hashOnce("sha256", only, "binary"));
    const hash = createHash("sha256");
    for (const chunk of chunks) hash.update(chunk);
    return plain(hash.digest());
  }

  hasher() {
    const hash = createHash("sha256");
    return { update: (chunk: Uint8Array) => void hash.update(chunk), digest: () => plain(hash.digest()) };
  }

  hkdfSha256(inputKey: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
    // RFC 5869, sections 2.2 and 2.3; node's own takes twice the time for one block.
    const extracted = createHmac("sha256", salt).update(inputKey).digest();
    const out = new Uint8Array(length);
    let block: Uint8Array = new Uint8Array(0);
    for (let at = 0, i = 1; at < length; at += block.length, i++) {
      block = createHmac("sha256", extracted).update(block).update(info).update(Uint8Array.of(i)).digest();
      out.set(block.subarray(0, length - at), at);
    }
    extracted.fill(0);
    block.fill(0);
    return out;
  }

  signingKey(seed: Uint8Array): SigningKey {
    const { key, publicKey } = keyPair("Ed25519", seed);
    return { publicKey, sign: (message) => plain(sign(null, message, key)) };
  }

  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    try {
      return verify(null, message, this.#publicKey("Ed25519", publicKey), signature);
    } catch {
      return false;
    }
  }

  agreementKey(secret: Uint8Array): AgreementKey {
    const { key, publicKey } = keyPair("X25519", secret);
    return {
      publicKey,
      agree: (peer) => {
        if (peer.length !== 32) return null;
        try {
          return plain(diffieHellman({ privateKey: key, publicKey: this.#publicKey("X25519", peer) }));
        } catch {
          return null; // OpenSSL refuses a shared secret of zeros
        }
      },
    };
  }

  maskStream(key: Uint8Array): MaskStream {
    const cipher = createCipheriv("aes-256-ctr", key, new Uint8Array(16));
    return {
      next(byteLength) {
        const bytes = cipher.update(zeros(byteLength));
        return bytes.byteOffset % 8 === 0 ? bytes : plain(bytes);
      },
    };
  }

  aeadSealInto(
    out: Uint8Array,
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array,
  ): void {
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    cipher.setAAD(associated);
    out.set(cipher.update(plaintext));
    cipher.final();
    out.set(cipher.getAuthTag(), plaintext.length);
  }

  aeadOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | null {
    if (sealed.length < 16) return null;
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
    decipher.setAAD(associated);
    decipher.setAuthTag(sealed.subarray(sealed.length - 16));
    const out = decipher.update(sealed.subarray(0, sealed.length - 16));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return new Uint8Array(out.buffer, out.byteOffset, out.length);
  }

  #publicKey(curve: Curve, raw: Uint8Array): KeyObject {
    const name = curve + Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString("latin1");
    let key = this.#publicKeys.get(name);
    if (key === undefined) {
      key = createPublicKey({ key: { kty: "OKP", crv: curve, x: toBase64(raw) }, format: "jwk" });
      const oldest = this.#publicKeys.size < KEPT_KEYS ? undefined : this.#publicKeys.keys().next().value;
      if (oldest !== undefined) this.#publicKeys.delete(oldest);
      this.#publicKeys.set(name, key);
    }
    return key;
  }
}

/** Random bytes are drawn so many at a time; a call for 32 takes as long as one for all. */
const DRAWN_BYTES = 8_192;

/** Randomness of the operating system. What was handed out is nowhere else any more. */
export function systemRandom(): SecureRng {
  const drawn = new Uint8Array(DRAWN_BYTES);
  let used = drawn.length;
  return new SecureRng((bytes) => {
    if (bytes.length > DRAWN_BYTES / 8) {
      randomFillSync(bytes);
      return;
    }
    if (used + bytes.length > drawn.length) {
      randomFillSync(drawn);
      used = 0;
    }
    bytes.set(drawn.subarray(used, used + bytes.length));
    drawn.fill(0, used, used + bytes.length);
    used += bytes.length;
  });
}

function keyPair(curve: Curve, secret: Uint8Array): { key: KeyObject; publicKey: Uint8Array } {
  const key = jwkPrivateKey(curve, secret) ?? derPrivateKey(curve, secret);
  const { x } = createPublicKey(key).export({ format: "jwk" });
  return { key, publicKey: fromBase64(x as string) as Uint8Array };
}

/** JWK (RFC 8037) is read ten times as fast as DER. Up to Node 24 the `x` beside `d` is ignored; later it is checked. */
function jwkPrivateKey(curve: Curve, secret: Uint8Array): KeyObject | null {
  const jwk = { kty: "OKP", crv: curve, x: toBase64(new Uint8Array(32)), d: toBase64(secret) };
  try {
    return createPrivateKey({ key: jwk, format: "jwk" });
  } catch {
    return null;
  }
}

/** RFC 8410: the DER bytes before a raw key. */
const DER_HEAD: Record<Curve, string> = {
  Ed25519: "302e020100300506032b657004220420",
  X25519: "302e020100300506032b656e04220420",
};

function derPrivateKey(curve: Curve, secret: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(DER_HEAD[curve], "hex"), secret]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  return key;
}

/** A digest as text comes in half the time that a buffer takes. */
function fromLatin1(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** A copy that is no Buffer: nothing of Node's pool is shared, and `slice` copies. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}

let zeroBlock = new Uint8Array(65_536);

function zeros(byteLength: number): Uint8Array {
  if (byteLength > zeroBlock.length) zeroBlock = new Uint8Array(byteLength);
  return zeroBlock.subarray(0, byteLength);
}
