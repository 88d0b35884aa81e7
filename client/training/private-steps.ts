/** The steps of a site's DP-SGD: who is in a step's sample is secret, and its noise is the system's. */
import type { ModelConfig } from "../../models/allulook4/build.ts";
import type { Batch } from "../../models/preprocess/batch.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { TrainingStage } from "../../models/runnable.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { poissonSample } from "../../shared/privacy/gaussian-noise.ts";
import { noiseNeeded } from "../../shared/privacy/plan.ts";
import { SecureNumbers } from "../../shared/privacy/secure-numbers.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { PrivateStep } from "./private-step.ts";

interface Settings {
  readonly rate: number;
  readonly clipNorm: number;
  readonly noiseMultiplier: number;
}

export class PrivateSteps {
  readonly #config: ModelConfig;
  readonly #built: BuiltModel;
  readonly #settings: Settings;
  readonly #numbers: SecureNumbers;

  private constructor(config: ModelConfig, built: BuiltModel, settings: Settings, random: SecureRng) {
    this.#config = config;
    this.#built = built;
    this.#settings = settings;
    this.#numbers = new SecureNumbers(random);
  }

  /** Null unless the plan protects single examples. Throws PRIVACY_EXAMPLES, PRIVACY_MODEL, POLICY_PRIVACY. */
  static of(
    config: ModelConfig & { readonly privacy?: FederationConfig["privacy"] },
    built: BuiltModel,
    examples: number,
    random: SecureRng,
  ): PrivateSteps | null {
    const { privacy } = config;
    if (privacy?.unit !== "example") return null;
    const { minExamples: expected, clipNorm } = privacy;
    if (examples < expected) {
      const message = `privacy.minExamples: the plan demands ${expected} training examples of a site, this one has ${examples}`;
      throw new CodedError("PRIVACY_EXAMPLES", message, { expected, got: examples });
    }
    if (built.learned < built.layout.length) {
      const message = "the model keeps running means of its batches, which no noise covers; use another normalisation";
      throw new CodedError("PRIVACY_MODEL", message, { expected: built.layout.length, got: built.learned });
    }
    const rate = Math.min(1, config.training.batchSize / examples);
    return new PrivateSteps(config, built, { rate, clipNorm, noiseMultiplier: noiseNeeded(privacy) }, random);
  }

  /**
   * The noisy mean gradient of one Poisson sample of `indices`.
   *
   * @param load renders samples, each by a stream of its own: from a common one, a sample's presence would change how all
   *   after it are shown, and so more than its own gradient. In parts of at most a batch, so that no draw is too large for
   *   the memory
   * @returns the loss, too, which has no noise and must stay here
   */
  async step(
    indices: readonly number[],
    values: Float32Array,
    load: (drawn: readonly number[], rngs: readonly Rng[]) => Promise<Batch>,
    stage?: TrainingStage,
  ): Promise<{ loss: number; gradient: Float32Array }> {
    const { rate, clipNorm, noiseMultiplier } = this.#settings;
    const { batchSize } = this.#config.training;
    const drawn = poissonSample(this.#numbers, indices.length, rate).map((i) => indices[i] as number);
    const step = new PrivateStep(values.length);
    for (let at = 0; at < drawn.length; at += batchSize) {
      const part = drawn.slice(at, at + batchSize);
      const rngs = part.map(() => this.#freshRng());
      const batch = await load(part, rngs);
      step.add(this.#built, this.#config, values, batch, clipNorm, stage);
    }
    const gradient = step.finish(this.#numbers, noiseMultiplier * clipNorm, rate * indices.length);
    return { loss: step.loss, gradient };
  }

  /** A stream of which nothing is public: 128 bits of the system's. */
  #freshRng(): Rng {
    const word = () => this.#numbers.below(2 ** 32);
    return Rng.restore([word(), word(), word(), word()]);
  }
}
