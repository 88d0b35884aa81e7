/** Waiting before the next try: doubles with full jitter, so that a thousand clients do not come back in one instant. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #tries = 0;

  constructor(firstMs: number, longestMs: number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** Between half and all of the present step; the step doubles up to the longest. */
  nextMs(): number {
    const step = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#tries, 30));
    this.#tries += 1;
    // Not a secret and not part of any result: plain Math.random is right here.
    return step * (0.5 + Math.random() / 2);
  }

  reset(): void {
    this.#tries = 0;
  }
}

/** Resolves after `ms`; rejects with the signal's reason when it is aborted before. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const aborted = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    signal.addEventListener("abort", aborted, { once: true });
  });
}
