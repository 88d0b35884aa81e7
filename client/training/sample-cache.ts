/** Prepared training samples, kept in memory up to a limit; beyond it the oldest are prepared again when needed. */
import { type PreparedSample, prepareSample } from "../../models/preprocess/prepare.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";

const LIMIT_BYTES = 512 * 2 ** 20;

export class SampleCache {
  readonly #dataset: Dataset;
  readonly #config: Pick<FederationConfig, "model" | "input" | "labels">;
  readonly #limit: number;
  readonly #held = new Map<number, PreparedSample>();
  #bytes = 0;

  constructor(
    dataset: Dataset,
    config: Pick<FederationConfig, "model" | "input" | "labels">,
    limitBytes = LIMIT_BYTES,
  ) {
    this.#dataset = dataset;
    this.#config = config;
    this.#limit = limitBytes;
  }

  async get(index: number): Promise<PreparedSample> {
    const known = this.#held.get(index);
    if (known !== undefined) return known;
    const sample = prepareSample(await this.#dataset.load(index), this.#config);
    this.#held.set(index, sample);
    this.#bytes += sample.bytes;
    for (const [oldest, held] of this.#held) {
      if (this.#bytes <= this.#limit || oldest === index) break;
      this.#held.delete(oldest);
      this.#bytes -= held.bytes;
    }
    return sample;
  }
}
