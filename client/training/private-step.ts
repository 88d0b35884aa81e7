/**
 * A step of DP-SGD (Abadi et al. 2016): every example's gradient is clipped to a norm before they are added up, Gaussian
 * noise is added to the sum, and the sum is divided by the number of examples that are expected, whatever was drawn.
 */
import type { ModelConfig } from "../../models/allulook4/build.ts";
import type { Batch } from "../../models/preprocess/batch.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { TrainingStage } from "../../models/runnable.ts";
import { clipFactor, l2Norm } from "../../shared/privacy/clip.ts";
import { addGaussian } from "../../shared/privacy/gaussian-noise.ts";
import type { SecureNumbers } from "../../shared/privacy/secure-numbers.ts";
import { exampleGradients } from "./example-gradients.ts";

export class PrivateStep {
  readonly #sum: Float32Array;
  #loss = 0;
  #examples = 0;
  #clipped = 0;

  constructor(length: number) {
    this.#sum = new Float32Array(length);
  }

  /** Adds the clipped gradients of a part of the sample. */
  add(
    built: BuiltModel,
    config: ModelConfig,
    values: Float32Array,
    batch: Batch,
    clipNorm: number,
    stage?: TrainingStage,
  ): void {
    for (const { loss, gradient } of exampleGradients(built, config, values, batch, stage)) {
      const norm = l2Norm(gradient);
      const factor = clipFactor(norm, clipNorm);
      // A gradient that is no number has no bounded part.
      if (!Number.isFinite(norm)) continue;
      for (let i = 0; i < gradient.length; i++) {
        this.#sum[i] = (this.#sum[i] as number) + factor * (gradient[i] as number);
      }
      this.#loss += loss;
      this.#examples++;
      if (factor < 1) this.#clipped++;
    }
  }

  /** Mean loss of the sample, which stays here; 0 for an empty one. */
  get loss(): number {
    return this.#loss / Math.max(1, this.#examples);
  }

  /** Share of the sample that was clipped, which stays here. */
  get clippedShare(): number {
    return this.#clipped / Math.max(1, this.#examples);
  }

  /** The noisy mean. @param stddev of the noise in the sum @param expected examples in a sample */
  finish(numbers: SecureNumbers, stddev: number, expected: number): Float32Array {
    addGaussian(numbers, this.#sum, stddev);
    for (let i = 0; i < this.#sum.length; i++) this.#sum[i] = (this.#sum[i] as number) / expected;
    return this.#sum;
  }
}
