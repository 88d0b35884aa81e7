/**
 * Which samples a step may draw: the easiest first, and more of them as the rounds go on (Bengio et al. 2009; measured by
 * a model's loss as in Hacohen, Weinshall 2019). Depends on the round's params and the data alone, so that a training
 * that goes on from a checkpoint finds the same order.
 */
import { setImmediate } from "node:timers/promises";
import { plainView } from "../../models/preprocess/augment.ts";
import { renderBatch } from "../../models/preprocess/batch.ts";
import { labelDifficulty } from "../../models/preprocess/difficulty.ts";
import type { PreparedSample } from "../../models/preprocess/prepare.ts";
import type { BuiltModel } from "../../models/registry.ts";
import type { Curriculum } from "../../shared/config/curriculum.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { SampleCache } from "./sample-cache.ts";
import { lossOf } from "./step.ts";

type Config = Pick<FederationConfig, "model" | "labels" | "input" | "training">;

/** Samples in use at the share `done` of all rounds: of `ranked`, easiest first, at least one. */
export function samplesInUse(ranked: readonly number[], { start, full }: Curriculum, done: number): readonly number[] {
  const share = Math.min(1, start + (1 - start) * (done / full));
  return ranked.slice(0, Math.max(1, Math.ceil(share * ranked.length)));
}

/** The indices, easiest first, equals in their order; samples without a label to measure by are the last. */
export async function easiestFirst(
  indices: readonly number[],
  measure: Curriculum["measure"],
  cache: SampleCache,
  model: LossPlace,
  signal: AbortSignal,
): Promise<number[]> {
  const rated: { index: number; difficulty: number }[] = [];
  for (const index of indices) {
    signal.throwIfAborted();
    const sample = await cache.get(index);
    const difficulty = measure === "labels" ? labelDifficulty(sample) : lossOn(sample, model);
    rated.push({ index, difficulty: difficulty ?? Number.POSITIVE_INFINITY });
    if (measure === "loss") await setImmediate();
  }
  return rated
    .toSorted((a, b) => (a.difficulty === b.difficulty ? 0 : a.difficulty - b.difficulty))
    .map(({ index }) => index);
}

export interface LossPlace {
  readonly built: BuiltModel;
  readonly config: Config;
  readonly params: Float32Array;
}

/** The sum of the heads' losses on the sample as it is; depth is withheld where it is to be learned. */
export function lossOn(sample: PreparedSample, { built, config, params }: LossPlace): number | null {
  const withheld = config.labels.depth.kind !== "none" || !config.input.modalities.includes("depth");
  const batch = renderBatch([sample], [plainView(sample, { depth: withheld })], config, built.strides);
  return lossOf(built, config, params, batch);
}
