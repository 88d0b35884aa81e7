/**
 * What the steps of one round learn from: which samples they draw, how these are shown, and what a teacher says of those
 * without labels. All of it is off unless `training` of federation.yaml says otherwise.
 */
import { randomCuts, randomLight, randomView, type View } from "../../models/preprocess/augment.ts";
import { type Batch, renderBatch } from "../../models/preprocess/batch.ts";
import type { PreparedSample } from "../../models/preprocess/prepare.ts";
import { labelledShare, lacking } from "../../models/preprocess/pseudo-targets.ts";
import { inWeather } from "../../models/preprocess/corruption/in-weather.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import { easiestFirst, samplesInUse } from "./curriculum.ts";
import type { SampleCache } from "./sample-cache.ts";
import { Teacher } from "./teacher.ts";

interface Place {
  readonly built: BuiltModel;
  readonly config: Pick<FederationConfig, "model" | "labels" | "input" | "training">;
  readonly cache: SampleCache;
  /** Indices of the samples to train on. */
  readonly train: readonly number[];
}

export class Lessons {
  readonly #place: Place;
  readonly #ranked: readonly number[];
  readonly #teacher: Teacher | null;
  #labelled = 0;

  private constructor(place: Place, ranked: readonly number[], teacher: Teacher | null) {
    this.#place = place;
    this.#ranked = ranked;
    this.#teacher = teacher;
  }

  /**
   * Of a round that begins with these params and personal ones, at the share `done` of all rounds.
   *
   * @param place the model's weights are overwritten
   */
  static async of(
    place: Place,
    { params, round, signal }: { readonly params: Float32Array; readonly round: number; readonly signal: AbortSignal },
    done: number,
  ): Promise<Lessons> {
    const { built, config, cache, train } = place;
    const { curriculum, semiSupervised } = config.training;
    const begun = semiSupervised !== null && round >= semiSupervised.fromRound;
    const ranked =
      curriculum === null || done >= curriculum.full
        ? train
        : await easiestFirst(train, curriculum.measure, cache, { built, config, params }, signal);
    return new Lessons(place, ranked, begun ? new Teacher(built, config, semiSupervised, params) : null);
  }

  /** The indices to draw from at the share `done` of all rounds. */
  samples(done: number): readonly number[] {
    const { curriculum } = this.#place.config.training;
    return curriculum === null ? this.#ranked : samplesInUse(this.#ranked, curriculum, done);
  }

  /**
   * The drawn samples as a batch, with all labels there are to be had.
   *
   * @param rngOf what a sample is shown by, by its place among the drawn: one stream for all, or one for each
   */
  async batch(drawn: readonly number[], rngOf: (place: number) => Rng): Promise<Batch> {
    const { config, cache, built } = this.#place;
    const clear = await Promise.all(drawn.map((index) => cache.get(index)));
    const views = clear.map((sample, i) => this.#view(sample, rngOf(i)));
    const { weather } = config.training.augmentation;
    const samples = clear.map((sample, i) => inWeather(sample, rngOf(i), weather, config.labels.depth.kind));
    const plain = renderBatch(samples, views, config, built.strides);
    const { batch, made } = this.#teacher?.label(plain, clear, views) ?? { batch: plain, made: [] };
    for (const [i, sample] of clear.entries()) this.#labelled += labelledShare(sample, config.labels, made[i]);
    return batch;
  }

  #view(sample: PreparedSample, rng: Rng): View {
    const { input, labels, training } = this.#place.config;
    const depthUse = { input: input.modalities.includes("depth"), target: labels.depth.kind !== "none" };
    const view = randomView(sample, rng, depthUse, training);
    if (this.#teacher === null || training.semiSupervised === null) return view;
    const { strong } = training.semiSupervised;
    // Drawn for every sample, so that the stream does not depend on what the site has labels for.
    const changed = { ...view, ...randomLight(rng, strong), cuts: randomCuts(rng, strong.cutout) };
    return lacking(sample, labels).length > 0 ? changed : view;
  }

  /** A step has been made; `values` gives the params that it led to. */
  stepped(values: () => Float32Array): void {
    this.#teacher?.follow(values);
  }

  /**
   * What the site's samples are worth in the mean of the round: as many as it holds, or, where some are without labels and
   * a teacher makes them, their labelled part.
   */
  worth(examples: number, examplesSeen: number): number {
    if (this.#place.config.training.semiSupervised === null) return examples;
    return Math.round((examples * this.#labelled) / Math.max(1, examplesSeen));
  }

  save(): { readonly labelled: number; readonly teacher: Float32Array | null } {
    return { labelled: this.#labelled, teacher: this.#teacher?.save() ?? null };
  }

  restore({ labelled, teacher }: ReturnType<Lessons["save"]>): void {
    this.#labelled = labelled;
    if (teacher !== null) this.#teacher?.restore(teacher);
  }
}
