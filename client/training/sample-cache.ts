/** Prepared training samples, kept in memory up to a limit; beyond it the oldest are prepared again when needed. */
import { type PreparedSample, prepareSample } from "../../models/preprocess/prepare.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";

type Config = Pick<FederationConfig, "model" | "input" | "labels" | "training">;

const LIMIT_BYTES = 512 * 2 ** 20;

export class SampleCache {
  readonly #dataset: Dataset;
  readonly #config: Config;
  readonly #unlabelled: ReadonlySet<number>;
  readonly #limit: number;
  readonly #held = new Map<number, PreparedSample>();
  #bytes = 0;

  /** @param unlabelled samples whose labels are not looked at */
  constructor(dataset: Dataset, config: Config, unlabelled: ReadonlySet<number> = new Set(), limitBytes = LIMIT_BYTES) {
    this.#dataset = dataset;
    this.#config = config;
    this.#unlabelled = unlabelled;
    this.#limit = limitBytes;
  }

  async get(index: number): Promise<PreparedSample> {
    const known = this.#held.get(index);
    if (known !== undefined) return known;
    const { flip } = this.#config.training.augmentation;
    const words = flip.probability > 0 ? flip.words : null;
    const loaded = await this.#dataset.load(index);
    const seen = this.#unlabelled.has(index) ? { ...loaded, boxes: null, segmentation: null, scene: null } : loaded;
    const sample = prepareSample(seen, this.#config, words);
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
