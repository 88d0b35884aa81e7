/** Counts failed handshakes by address; beyond the limit an address waits for the rest of the window. */
export class FailureLimit {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  #windowStart = 0;
  #counts = new Map<string, number>();

  constructor(limit: number, windowMs: number, now: () => number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  record(address: string): void {
    this.#turn();
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
  }

  blocked(address: string): boolean {
    this.#turn();
    return (this.#counts.get(address) ?? 0) >= this.#limit;
  }

  #turn(): void {
    const now = this.#now();
    if (now - this.#windowStart < this.#windowMs) return;
    this.#windowStart = now;
    this.#counts = new Map();
  }
}
