/**
 * The teacher of a round of semi-supervised training: the model that the round began with, or a moving average of the
 * student (Mean Teacher, Tarvainen, Valpola 2017). It sees what the student sees, without its changes of colour and cuts.
 */
import type { OutputHead } from "../../models/allulook4/build.ts";
import * as tf from "../../models/engine/tf.ts";
import { clearView, type View } from "../../models/preprocess/augment.ts";
import { type Batch, renderBatch } from "../../models/preprocess/batch.ts";
import type { PreparedSample } from "../../models/preprocess/prepare.ts";
import { lacking, makeTargets, type MadeTargets } from "../../models/preprocess/pseudo-targets.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { SemiSupervised } from "../../shared/config/semi-supervised.ts";

type Config = Pick<FederationConfig, "model" | "labels" | "input" | "training">;

export class Teacher {
  readonly #built: BuiltModel;
  readonly #config: Config;
  readonly #rules: SemiSupervised;
  #params: Float32Array;

  /**
   * @param built the student's model; its weights are overwritten by each lesson
   * @param params federated ones, then personal ones
   */
  constructor(built: BuiltModel, config: Config, rules: SemiSupervised, params: Float32Array) {
    this.#built = built;
    this.#config = config;
    this.#rules = rules;
    this.#params = params;
  }

  /** Fills in the labels that the samples of a batch lack. */
  label(batch: Batch, samples: readonly PreparedSample[], views: readonly View[]): MadeTargets {
    const { labels, input } = this.#config;
    const built = this.#built;
    if (samples.every((sample) => lacking(sample, labels).length === 0)) {
      return { batch, made: samples.map(() => new Map<OutputHead, number>()) };
    }
    const clear = views.map((view, i) =>
      clearView(view, samples[i] as PreparedSample, input.modalities.includes("depth")),
    );
    const seen = renderBatch(samples, clear, this.#config, built.strides);
    built.setValues(this.#params);
    const outputs = new Map<OutputHead, Float32Array>();
    tf.tidy(() => {
      for (const [head, tensor] of built.forward(seen, false)) outputs.set(head, tensor.dataSync<"float32">());
    });
    return makeTargets(batch, samples, views, outputs, labels, built.strides, this.#rules);
  }

  /** The student has made a step; `values` gives where to: the params, and more behind them. */
  follow(values: () => Float32Array): void {
    if (this.#rules.teacher === "global") return;
    const { decay } = this.#rules;
    const student = values();
    this.#params = this.#params.map((value, i) => decay * value + (1 - decay) * (student[i] as number));
  }

  /** What a checkpoint needs of it; null where it is the round's first model. */
  save(): Float32Array | null {
    return this.#rules.teacher === "global" ? null : this.#params;
  }

  restore(params: Float32Array): void {
    this.#params = params;
  }
}
