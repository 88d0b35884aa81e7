/** Unpredictable randomness for keys, masks and privacy noise. Outside tests its source is the operating system. */
export class SecureRng {
  declare private readonly kind: "secure";
  readonly #fill: (bytes: Uint8Array) => void;

  /** @param fill overwrites the given bytes with random ones; tests pass a fixed stream to replay vectors. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.#fill(out);
    return out;
  }
}
