/**
 * The port of local training: what a round needs from whatever trains a model on a site's data.
 * `allulook-trainer.ts` implements it for the models of the registry; simulations add clients that do not train.
 */
import type { ParamLayout } from "../../shared/params/layout.ts";
import type { Rng } from "../../shared/rng/rng.ts";
import type { StatisticsLayout } from "../../models/metrics/statistics.ts";

export interface TrainingProgress {
  /** Optimizer steps done and to do in this round. */
  readonly step: number;
  readonly steps: number;
  /** Loss of the step just done. */
  readonly loss: number;
}

export interface TrainingJob {
  /** The global params, in the order of the trainer's layout; not changed. */
  readonly params: Float32Array;
  /** What this site has kept for itself, in the order of `personal`; left out: as the model begins. */
  readonly personal?: Float32Array;
  /** Added to every gradient, as long as `params`; left out: nothing. */
  readonly correction?: Float32Array;
  readonly round: number;
  /** Order of samples, augmentation and modality dropout draw from this stream and nothing else. */
  readonly rng: Rng;
  /** Aborting rejects with the signal's reason, at the next step. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: TrainingProgress) => void;
  /** Where to save the state every few steps; a job found there for the same round and params goes on, to the same bits. */
  readonly checkpointDir?: string;
}

export interface TrainingResult {
  /** Params after training minus `job.params`. */
  readonly delta: Float32Array;
  /** The personal params after training, which stay here; where the trainer has some. */
  readonly personal?: Float32Array;
  /** Samples processed, each as often as it was drawn. */
  readonly examplesSeen: number;
  readonly lossSum: number;
  /** Steps summed in `lossSum`. */
  readonly lossCount: number;
  /** Mean loss of `job.params` on the training samples, where the strategy asks for it. */
  readonly startLoss?: number;
  /** What the update weighs by; the trainer's `examples` unless given. */
  readonly examples?: number;
}

export interface Trainer {
  /** Exactly the federated params: what is summed over the sites. */
  readonly layout: ParamLayout;
  /** What stays at the site; left out where nothing does. */
  readonly personal?: ParamLayout;
  /** Training samples held, after the hold-out is taken off. */
  readonly examples: number;
  readonly evaluationExamples: number;
  readonly statistics: StatisticsLayout;
  /** Deterministic for (params, personal ones, seed, round, client name), engine and threads. Throws UPDATE_NOT_FINITE. */
  train(job: TrainingJob): Promise<TrainingResult>;
  /** Values of `statistics` on the held-out samples: non-negative integers < 2^53, additive over clients. */
  evaluate(params: Float32Array, signal: AbortSignal, personal?: Float32Array): Promise<Float64Array>;
  dispose(): void;
}
