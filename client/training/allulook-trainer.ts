/**
 * Local training of a registry model on one site's data: seeded order, augmentation and modality dropout, any tfjs
 * optimizer, FedProx's proximal term (Li et al. 2020), checkpoints between steps. Optimizer state and task weights
 * start afresh each round and stay here.
 */
import { setImmediate } from "node:timers/promises";
import { addSamples } from "../../models/metrics/evaluate.ts";
import { MeanDepthMap } from "../../models/metrics/depth.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import { startOf } from "../../models/engine/node/pretrained.ts";
import { geometryOf } from "../../models/preprocess/prepare.ts";
import type { Dataset } from "../../models/preprocess/sample.ts";
import { type BuiltModel, openModel } from "../../models/registry.ts";
import type { TrainingStage } from "../../models/runnable.ts";
import type { FederationConfig } from "../../shared/config/federation.ts";
import { shippedPart } from "../../shared/release/base.ts";
import { CodedError } from "../../shared/errors.ts";
import { systemRandom } from "../../shared/node/crypto.ts";
import type { ParamLayout } from "../../shared/params/layout.ts";
import { stepsPerRound } from "../../shared/privacy/plan.ts";
import type { BaseParams } from "../../shared/release/base.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { type Holdout, splitHoldout } from "../data/holdout.ts";
import { jobId, loadCheckpoint, removeCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { correctingDrift } from "./drift.ts";
import { FlatOptimizer } from "./flat-optimizer.ts";
import { Lessons } from "./lessons.ts";
import { SampleCache } from "./sample-cache.ts";
import { PrivateSteps } from "./private-steps.ts";
import { lossAndGradient, uncertaintyCount, valuesCount } from "./step.ts";
import { startLoss } from "./start-loss.ts";
import { openTutor, type Tutor } from "./tutor.ts";
import type { Trainer, TrainingJob, TrainingResult } from "./trainer.ts";

type TrainerConfig = Pick<FederationConfig, "model" | "labels" | "input" | "training" | "evaluation"> & {
  readonly privacy?: FederationConfig["privacy"];
  /** How many rounds there are to be: of one, unless given. */
  readonly schedule?: Pick<FederationConfig["schedule"], "rounds">;
  /** Decides what is added to gradients, and what is measured besides: nothing, unless given. */
  readonly strategy?: FederationConfig["strategy"];
};

export interface TrainerOptions {
  readonly config: TrainerConfig;
  readonly dataset: Dataset;
  readonly clientName: string;
  /** The federation's: what is not trained starts from it and must be the same at all clients. */
  readonly seed: number;
  /** What frozen and personal params begin with, where no seed gives it. */
  readonly base?: BaseParams;
  /** Instead of the split that config, seed and client name give; for central training on several sites' data. */
  readonly split?: Holdout;
  /** Folder of the model that the configuration distils from; null: there is none. */
  readonly teacher?: string | null;
  /** Least time between two checkpoints. */
  readonly checkpointEveryMs?: number;
  /** Of samples and noise where privacy.unit is example; the system's unless given. */
  readonly random?: SecureRng;
}

const CHECKPOINT_EVERY_MS = 5000;

/**
 * A trainer on `dataset`. Needs a loaded engine.
 *
 * @throws CodedError DATA_EMPTY without training samples, MODEL_UNKNOWN; PRIVACY_EXAMPLES, PRIVACY_MODEL
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { config, dataset, clientName, seed, checkpointEveryMs = CHECKPOINT_EVERY_MS } = options;
  if (dataset.size === 0)
    throw new CodedError("DATA_EMPTY", "there are no samples to train on", { client: clientName });
  const split = options.split ?? splitHoldout(dataset.entries, config.evaluation, seed, clientName);
  if (split.train.length === 0) {
    throw new CodedError("DATA_EMPTY", "no samples are left to train on after the hold-out", { client: clientName });
  }
  const shipped = shippedPart(config) === null ? null : await startOf(config.model);
  const built = await openModel(config, seed, options.base ?? shipped);
  const { distillation } = config.training;
  try {
    const privately = PrivateSteps.of(config, built, split.train.length, options.random ?? systemRandom());
    const tutor = distillation === null ? null : await openTutor(options.teacher ?? null, distillation, built);
    const trainer = new AllulookTrainer({ config, dataset, split, built, tutor, privately, checkpointEveryMs });
    return correctingDrift(trainer, config.strategy, config.training.optimizer);
  } catch (error) {
    built.dispose();
    throw error;
  }
}

interface TrainerParts {
  readonly config: TrainerConfig;
  readonly dataset: Dataset;
  readonly split: Holdout;
  readonly built: BuiltModel;
  readonly tutor: Tutor | null;
  /** null: training is not private by example. */
  readonly privately: PrivateSteps | null;
  readonly checkpointEveryMs: number;
}

class AllulookTrainer implements Trainer {
  readonly layout;
  readonly personal?: ParamLayout;
  readonly examples;
  readonly evaluationExamples;
  readonly statistics;
  readonly #config: TrainerConfig;
  readonly #dataset: Dataset;
  readonly #split: Holdout;
  readonly #built: BuiltModel;
  readonly #cache: SampleCache;
  readonly #tutor: Tutor | null;
  readonly #privately: PrivateSteps | null;
  readonly #checkpointEveryMs: number;
  #meanDepth: MeanDepthMap | null = null;

  constructor({ config, dataset, split, built, tutor, privately, checkpointEveryMs }: TrainerParts) {
    this.#config = config;
    this.#dataset = dataset;
    this.#split = split;
    this.#built = built;
    this.#tutor = tutor;
    this.#privately = privately;
    this.#cache = new SampleCache(dataset, config, new Set(split.unlabelled));
    this.#checkpointEveryMs = checkpointEveryMs;
    this.layout = built.layout;
    if (built.personal.length > 0) this.personal = built.personal;
    this.examples = split.train.length;
    this.evaluationExamples = split.evaluation.length;
    this.statistics = statisticsLayout(config.labels);
  }

  async train(job: TrainingJob): Promise<TrainingResult> {
    const { params, signal } = job;
    const config = this.#config;
    const { training } = config;
    const built = this.#built;
    // Checks the lengths, and fills in what a site begins with.
    built.setParams(params, job.personal);
    const personal = built.getPersonal();
    const size = valuesCount(built);
    const start = new Float32Array(size + uncertaintyCount(config));
    start.set(params);
    start.set(personal, params.length);
    const steps = stepsPerRound(training, this.examples);
    // With epochs, every sample is drawn equally often and the last batch may be smaller.
    const toDraw =
      training.localSteps === undefined && training.localEpochs !== undefined
        ? training.localEpochs * this.examples
        : Number.POSITIVE_INFINITY;
    const facts = [
      config.model,
      config.labels,
      config.input,
      training,
      this.#rounds,
      ...(this.#privately === null ? [] : [config.privacy]),
    ];
    const id = jobId(start.subarray(0, size), job.round, job.rng.save(), facts, job.correction);
    const saved = job.checkpointDir === undefined ? null : await loadCheckpoint(job.checkpointDir, id);
    const place = { built, config, cache: this.#cache, train: this.#split.train };
    const begin = { ...job, params: start.slice(0, size) };
    const before =
      config.strategy?.name === "qfedavg"
        ? await startLoss(this.#split.train, this.#cache, { built, config, params: begin.params }, signal)
        : undefined;
    const lessons = await Lessons.of(place, begin, this.#done(job.round, 0));
    let rng = job.rng;
    let step = 0;
    let queue: number[] = [];
    let examplesSeen = 0;
    let lossSum = 0;
    let optimizer = new FlatOptimizer(training.optimizer, start);
    // What the optimizer never moves, but the model's own forward pass does.
    let statistics: Float32Array = start;
    const plain = async (values: Float32Array, wanted: number, stage: TrainingStage | undefined) => {
      const inUse = lessons.samples(this.#done(job.round, step / steps));
      while (queue.length < wanted) queue.push(...rng.shuffled(inUse));
      const batch = await lessons.batch(queue.splice(0, wanted), () => rng);
      return lossAndGradient(built, config, values, batch, stage, this.#tutor);
    };
    const current = () => {
      const values = optimizer.values();
      built.copyStatistics(statistics, values);
      return values;
    };
    try {
      if (saved !== null) {
        optimizer.restore(saved.values, saved.optimizer);
        statistics = saved.values;
        ({ step, examplesSeen, lossSum } = saved);
        queue = [...saved.queue];
        rng = Rng.restore([...saved.rng]);
        lessons.restore(saved.lessons);
      }
      let lastSaved = performance.now();
      while (step < steps) {
        signal.throwIfAborted();
        const wanted = Math.min(training.batchSize, toDraw - examplesSeen);
        const stage = this.#stageAt(job.round, step / steps);
        if (step > 0 && stage !== this.#stageAt(job.round, (step - 1) / steps)) {
          // What the optimizer remembers of the stage before must not move its weights any more.
          const values = current();
          optimizer.dispose();
          optimizer = new FlatOptimizer(training.optimizer, values);
        }
        const values = current();
        const { loss, gradient } =
          this.#privately === null
            ? await plain(values, wanted, stage)
            : await this.#privately.step(
                this.#split.train,
                values,
                (drawn, rngs) => lessons.batch(drawn, (i) => rngs[i] as Rng),
                stage,
              );
        statistics = values;
        if (training.proximal > 0) {
          addProximal(gradient, values, params.subarray(0, built.learned), training.proximal);
        }
        if (job.correction !== undefined) addTo(gradient, job.correction.subarray(0, built.learned));
        if (this.#privately === null && !Number.isFinite(loss)) {
          throw new CodedError("UPDATE_NOT_FINITE", `the loss is ${loss} at step ${step + 1}`, { step: step + 1 });
        }
        optimizer.apply(gradient, step / steps);
        step++;
        // Of a secret sample's size only what is expected is told.
        examplesSeen += wanted;
        lessons.stepped(current);
        lossSum += loss;
        job.onProgress({ step, steps, loss });
        if (
          job.checkpointDir !== undefined &&
          step < steps &&
          performance.now() - lastSaved >= this.#checkpointEveryMs
        ) {
          await saveCheckpoint(job.checkpointDir, id, {
            step,
            rng: rng.save(),
            queue,
            examplesSeen,
            lossSum,
            values: current(),
            optimizer: optimizer.save(),
            lessons: lessons.save(),
          });
          lastSaved = performance.now();
        }
        // Sockets, heartbeats and signals get their turn.
        await setImmediate();
      }
      const trained = current();
      const delta = params.map((value, i) => (trained[i] as number) - value);
      const bad = trained.findIndex((value, i) => i < size && !Number.isFinite(value));
      if (bad >= 0) {
        throw new CodedError("UPDATE_NOT_FINITE", `training gave ${trained[bad]} at index ${bad}`, { index: bad });
      }
      if (job.checkpointDir !== undefined) await removeCheckpoint(job.checkpointDir);
      return {
        delta,
        examplesSeen,
        // It has no noise.
        ...(this.#privately === null ? { lossSum, lossCount: steps } : { lossSum: 0, lossCount: 0 }),
        ...(before !== undefined && { startLoss: before }),
        examples: lessons.worth(this.examples, examplesSeen),
        ...(this.personal !== undefined && { personal: trained.slice(params.length, size) }),
      };
    } finally {
      optimizer.dispose();
    }
  }

  async evaluate(params: Float32Array, signal: AbortSignal, personal?: Float32Array): Promise<Float64Array> {
    const values = new Float64Array(this.statistics.length);
    const config = this.#config;
    this.#built.setParams(params, personal);
    const meanDepth = await this.#meanOfTrainingDepth();
    const { batchSize } = config.training;
    for (let start = 0; start < this.#split.evaluation.length; start += batchSize) {
      signal.throwIfAborted();
      const indices = this.#split.evaluation.slice(start, start + batchSize);
      const samples = await Promise.all(indices.map((index) => this.#dataset.load(index)));
      // Others may have trained on this model while the samples were read.
      this.#built.setParams(params, personal);
      addSamples(this.#built, config, samples, this.statistics, values, { batchSize, meanDepth });
      await setImmediate();
    }
    return values;
  }

  dispose(): void {
    this.#built.dispose();
    this.#tutor?.model.dispose();
  }

  get #rounds(): number {
    return this.#config.schedule?.rounds ?? 1;
  }

  /** Share of all rounds, of which the round before is whole and this one `done`. */
  #done(round: number, done: number): number {
    return (round - 1 + done) / this.#rounds;
  }

  #stageAt(round: number, done: number): TrainingStage | undefined {
    return this.#built.stageAt?.(this.#done(round, done));
  }

  /** Computed once, when first needed: it reads every training sample. Null with privacy, whose noise is not in it. */
  async #meanOfTrainingDepth(): Promise<MeanDepthMap | null> {
    const { privacy, labels } = this.#config;
    if (labels.depth.kind === "none" || (privacy !== undefined && privacy.unit !== "none")) return null;
    if (this.#meanDepth === null) {
      const { contentHeight, contentWidth } = geometryOf(this.#config);
      const mean = new MeanDepthMap(contentWidth, contentHeight);
      for (const index of this.#split.train) {
        const { depth, width, height } = await this.#dataset.load(index);
        if (depth !== null) mean.add(depth, width, height);
      }
      this.#meanDepth = mean;
    }
    return this.#meanDepth;
  }
}

function addTo(gradient: Float32Array, correction: Float32Array): void {
  for (let i = 0; i < correction.length; i++) gradient[i] = (gradient[i] as number) + (correction[i] as number);
}

/** Adds mu (w - w0): the gradient of FedProx's mu/2 |w - w0|^2. What is behind the federated params is left alone. */
function addProximal(gradient: Float32Array, values: Float32Array, start: Float32Array, mu: number): void {
  for (let i = 0; i < start.length; i++) {
    gradient[i] = (gradient[i] as number) + mu * ((values[i] as number) - (start[i] as number));
  }
}
