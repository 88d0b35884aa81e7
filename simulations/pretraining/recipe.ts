/**
 * How the weights in models/pretrained are made:
 *
 *     allulook pretrain --preset nano --seed 7 --out nano
 *     allulook pretrain --preset tiny --seed 7 --out tiny
 *
 *     cost: nano 12 minutes of one core, 1.1 GB, and another one for the scores; tiny 38 minutes of a busy core, 1.2 GB
 *     to expect on other generated pictures (fp32, int8 within .002):
 *       nano: segmentation mIoU .36, pixel accuracy .84; detection AP50 .04; depth absRel .38, delta1 .44;
 *             scene accuracy .99
 *       tiny: segmentation mIoU .25, pixel accuracy .81; detection AP50 .02; depth absRel .50, delta1 .34;
 *             scene accuracy .92 (a quarter of nano's steps)
 *
 * All heads are trained at once on generated rooms, streets and surfaces of 128 x 128 (scenes.ts), with modality
 * dropout, Adam and a rate that falls linearly to a tenth. One core, one thread.
 *
 * model.json, weights.bin and README.md then go to models/pretrained/allulook4-PRESET, and the hash that is printed to
 * shared/config/pretrained.ts.
 */
import { checkFederationConfig } from "../../coordinator/config.ts";
import { federationConfig, type FederationConfig } from "../../shared/config/federation.ts";
import { PRETRAINING_LABELS } from "./labels.ts";

export interface Recipe {
  /** Generated pictures, each seen about steps * batchSize / pictures times under other crops and lights. */
  readonly pictures: number;
  /** Others, to score with. */
  readonly evaluation: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

export const RECIPES = {
  nano: { pictures: 2000, evaluation: 160, steps: 2400, batchSize: 8, learningRate: 0.002 },
  tiny: { pictures: 1200, evaluation: 160, steps: 600, batchSize: 8, learningRate: 0.002 },
} as const satisfies Record<string, Recipe>;

export type PretrainedPreset = keyof typeof RECIPES;

export const PRETRAINING_SEED = 7;
const SIDE = 128;

/** The configuration of one long round of one client. */
export function recipeConfig(preset: PretrainedPreset, recipe: Recipe, seed: number): FederationConfig {
  const config = federationConfig.parse({
    federation: "pretraining",
    seed,
    model: { name: "allulook4", preset, init: "random" },
    labels: PRETRAINING_LABELS,
    input: { size: [SIDE, SIDE] },
    training: {
      localSteps: recipe.steps,
      batchSize: recipe.batchSize,
      optimizer: { name: "adam", learningRate: recipe.learningRate },
    },
  });
  return checkFederationConfig(config, "recipe").config;
}
