/** What travels between a {@link TrainerPool} and its workers. */
import type { ErrorCode } from "../../shared/errors.ts";
import type { Holdout } from "../data/holdout.ts";
import type { TrainerOptions } from "./allulook-trainer.ts";
import type { Trainer, TrainingProgress } from "./trainer.ts";

/** Samples of one dataset folder. */
export interface DataPart {
  readonly dir: string;
  /** The site's class names to the federation's. */
  readonly map?: Readonly<Record<string, string>>;
  /** The samples that belong to this client; all when left out. */
  readonly indices?: readonly number[];
}

/** Plain data from which a worker makes a trainer. */
export interface TrainerSpec {
  readonly clientName: string;
  readonly config: TrainerOptions["config"];
  readonly seed: number;
  /** File of the base that the configuration names, where params that are not federated come from it. */
  readonly base?: string;
  /** One after the other. */
  readonly data: readonly DataPart[];
  /** Instead of the split that the configuration gives: indices into the parts taken together. */
  readonly split?: Holdout;
  /** Folder of the model that the plan distils from. */
  readonly teacher?: string;
}

export type TrainerFacts = Pick<Trainer, "layout" | "personal" | "examples" | "evaluationExamples" | "statistics">;

export type ToWorker =
  | { kind: "engine" }
  | { kind: "create"; trainer: number; spec: TrainerSpec }
  | {
      kind: "train";
      trainer: number;
      params: Float32Array;
      personal?: Float32Array;
      round: number;
      rng: [number, number, number, number];
      checkpointDir?: string;
    }
  | { kind: "evaluate"; trainer: number; params: Float32Array; personal?: Float32Array }
  | { kind: "dispose"; trainer: number }
  | { kind: "abort"; call: number };

export type FromWorker =
  | { kind: "progress"; call: number; progress: TrainingProgress }
  | { kind: "result"; call: number; value: unknown }
  | { kind: "error"; call: number; code: ErrorCode; text: string; details: Record<string, unknown> };
