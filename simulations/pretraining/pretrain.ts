/** Carries a recipe out: generated scenes in, an int8 model folder with its scores out. Interrupted, it goes on later. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@noble/hashes/sha2.js";
import { settleFallbacks } from "../../coordinator/release/settle.ts";
import { createTrainer } from "../../client/training/allulook-trainer.ts";
import type { Trainer } from "../../client/training/trainer.ts";
import { loadEngine, type EngineInfo } from "../../models/engine/node/load.ts";
import { metricsFromStatistics } from "../../models/metrics/statistics.ts";
import { buildModel } from "../../models/registry.ts";
import { hashOf } from "../../shared/canonical.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { writeFileDurably } from "../../shared/node/files.ts";
import { canonicalBytes, paramsFromBytes } from "../../shared/params/layout.ts";
import { deriveModel, encodeModel } from "../../shared/quantize/model.ts";
import { modelHash } from "../../shared/release/model-hash.ts";
import { MODEL_CARD_PATH, modelFiles } from "../../shared/release/model-card.ts";
import type { Metrics } from "../../shared/release/scores.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { cardText } from "./card.ts";
import { type PretrainedPreset, type Recipe, recipeConfig } from "./recipe.ts";
import { pretrainingScenes } from "./scenes.ts";

export interface PretrainingSetting {
  readonly preset: PretrainedPreset;
  readonly recipe: Recipe;
  readonly seed: number;
  readonly out: string;
  readonly onProgress: (step: number, steps: number, loss: number) => void;
}

export interface PretrainingReport {
  readonly preset: PretrainedPreset;
  readonly seed: number;
  readonly recipe: Recipe;
  readonly engine: Pick<EngineInfo, "backend" | "version" | "threads">;
  readonly params: number;
  /** Of this run; less than the whole training where it went on from a checkpoint. */
  readonly seconds: number;
  /** On generated scenes that were not trained on. */
  readonly metrics: { readonly fp32: Metrics; readonly int8: Metrics };
  readonly bytes: number;
  /** Of the hashes of model.json and weights.bin (shared/release/model-hash.ts). */
  readonly sha256: Sha256;
}

const CHECKPOINT_EVERY_MS = 20_000;
/** Most that a head may lose to int8. */
const MAX_DROP = 0.005;

/** Writes model.json, weights.bin, their card and report.json into `out`. Throws the signal's reason. */
export async function pretrain(setting: PretrainingSetting, signal: AbortSignal): Promise<PretrainingReport> {
  const { preset, recipe, seed, out } = setting;
  const start = performance.now();
  const engine = await loadEngine({ threads: 1 });
  const config = recipeConfig(preset, recipe, seed);
  const all = recipe.pictures + recipe.evaluation;
  const indices = Array.from({ length: all }, (_, index) => index);
  const trainer = await createTrainer({
    config,
    dataset: pretrainingScenes({ pictures: all, size: config.input.size, seed }),
    clientName: "pretraining",
    seed,
    split: { train: indices.slice(0, recipe.pictures), evaluation: indices.slice(recipe.pictures) },
    checkpointEveryMs: CHECKPOINT_EVERY_MS,
  });
  try {
    const { layout } = trainer;
    const params = await trained(trainer, setting, config, signal);
    const measure = async (values: Float32Array): Promise<Metrics> =>
      metricsFromStatistics(trainer.statistics, await trainer.evaluate(values, signal));
    const fp32 = await measure(params);
    const settled = await settleFallbacks(
      {
        layout,
        params,
        dtype: "int8",
        fallbacks: [],
        maxDrop: MAX_DROP,
        evaluation: { reference: fp32, quantized: await measure(deriveModel(params, layout, "int8", [])) },
      },
      measure,
    );
    const { bytes, params: stored } = encodeModel(layout, params, "int8", settled.fallbacks);
    const card = modelFiles(config, layout).get(MODEL_CARD_PATH) as Uint8Array;
    await writeFileDurably(join(out, "model.json"), card);
    await writeFileDurably(join(out, "weights.bin"), bytes);
    const report: PretrainingReport = {
      preset,
      seed,
      recipe,
      engine: { backend: engine.backend, version: engine.version, threads: engine.threads },
      params: layout.length,
      seconds: (performance.now() - start) / 1000,
      metrics: { fp32, int8: await measure(stored) },
      bytes: card.length + bytes.length,
      sha256: modelHash([card, bytes], { sha256 }),
    };
    await writeFileDurably(join(out, "README.md"), cardText(report));
    await writeFileDurably(join(out, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
    await rm(join(out, "checkpoint"), { recursive: true, force: true });
    return report;
  } finally {
    trainer.dispose();
  }
}

/** Params at the end of training; kept until the report is written, as scoring takes its time, too. */
async function trained(
  trainer: Trainer,
  { seed, recipe, out, onProgress }: PretrainingSetting,
  config: FederationConfig,
  signal: AbortSignal,
): Promise<Float32Array> {
  const checkpointDir = join(out, "checkpoint");
  const file = join(checkpointDir, `trained-${hashOf([config, recipe]).slice(0, 16)}.bin`);
  const kept = await readFile(file).catch(() => null);
  if (kept !== null) return paramsFromBytes(trainer.layout, kept);
  const first = buildModel(config, seed);
  const params = first.getParams();
  first.dispose();
  const { delta } = await trainer.train({
    params,
    round: 1,
    rng: Rng.of(seed, "pretraining"),
    signal,
    onProgress: ({ step, steps, loss }) => onProgress(step, steps, loss),
    checkpointDir,
  });
  for (const [i, change] of delta.entries()) params[i] = (params[i] as number) + change;
  await writeFileDurably(file, canonicalBytes(params));
  return params;
}
