/** A trainer that does not train: its delta and statistics are a function of seed, params and round, with switches for what goes wrong. */
import type { Trainer, TrainingJob, TrainingResult } from "../../client/training/trainer.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { layoutOf } from "../../shared/params/layout.ts";

export class FakeTrainer implements Trainer {
  readonly layout = layoutOf([
    { name: "kernel", shape: [5, 7] },
    { name: "bias", shape: [7] },
  ]);
  readonly examples = 24;
  readonly evaluationExamples = 6;
  readonly statistics;
  /** How often something was asked for. */
  trained = 0;
  evaluated = 0;
  cancelled = 0;
  disposed = false;
  /** Set to hold training back until it resolves. */
  gate: Promise<void> = Promise.resolve();
  failure: unknown = null;
  /** Changes the result before it is handed out. */
  spoil: (result: TrainingResult) => TrainingResult = (result) => result;

  constructor(labels: Labels) {
    this.statistics = statisticsLayout(labels);
  }

  async train({ params, rng, signal, onProgress }: TrainingJob): Promise<TrainingResult> {
    this.trained++;
    onProgress({ step: 1, steps: 2, loss: 0.5 });
    signal.addEventListener("abort", () => this.cancelled++, { once: true });
    await Promise.race([this.gate, aborted(signal)]);
    signal.throwIfAborted();
    if (this.failure !== null) throw this.failure;
    const delta = Float32Array.from(params, () => (rng.uniform() - 0.5) / 4);
    onProgress({ step: 2, steps: 2, loss: 0.25 });
    return this.spoil({ delta, examplesSeen: 48, lossSum: 3, lossCount: 2 });
  }

  async evaluate(params: Float32Array): Promise<Float64Array> {
    this.evaluated++;
    const counts = (_: unknown, i: number) => Math.round(Math.abs(params[i] ?? 0) * 1000);
    return Float64Array.from({ length: this.statistics.length }, counts);
  }

  dispose(): void {
    this.disposed = true;
  }
}

/** Its layout of personal params. */
const PERSONAL = layoutOf([{ name: "scale", shape: [6] }]);

/**
 * As {@link FakeTrainer}, with personal params: its delta and statistics depend on them, and they grow by one at every
 * training from where they were.
 */
export class PersonalTrainer extends FakeTrainer {
  readonly personal = PERSONAL;
  /** What each training began with, by round, and what each evaluation was given. */
  readonly began: [round: number, first: number][] = [];
  readonly scored: number[] = [];

  override async train(job: TrainingJob): Promise<TrainingResult> {
    const own = job.personal ?? new Float32Array(PERSONAL.length);
    this.began.push([job.round, own[0] as number]);
    const result = await super.train(job);
    return {
      ...result,
      delta: result.delta.map((value) => value / (1 + (own[0] as number))),
      personal: own.map((value) => value + 1),
    };
  }

  override async evaluate(params: Float32Array, _signal?: AbortSignal, personal?: Float32Array): Promise<Float64Array> {
    this.scored.push(personal?.[0] ?? 0);
    const counts = await super.evaluate(params);
    return counts.map((count) => count + (personal?.[0] ?? 0));
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
