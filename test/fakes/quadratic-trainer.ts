/**
 * A trainer with a loss that can be written down: f(x) = 1/2 sum of a_k (x_k - b_k)^2, minimised by plain gradient descent with
 * the rate and the terms that a plan gives. What algorithms of papers come to on it can be computed by hand.
 */
import type { Trainer, TrainingJob, TrainingResult } from "../../client/training/trainer.ts";
import { statisticsLayout } from "../../models/metrics/statistics.ts";
import { layoutOf } from "../../shared/params/layout.ts";

export interface Quadratic {
  readonly curvature: readonly number[];
  readonly minimum: readonly number[];
}

export const lossAt = ({ curvature, minimum }: Quadratic, x: readonly number[]): number =>
  curvature.reduce((sum, a, k) => sum + (a / 2) * ((x[k] as number) - (minimum[k] as number)) ** 2, 0);

export const gradientAt = ({ curvature, minimum }: Quadratic, x: readonly number[]): number[] =>
  curvature.map((a, k) => a * ((x[k] as number) - (minimum[k] as number)));

export class QuadraticTrainer implements Trainer {
  readonly layout;
  readonly evaluationExamples = 0;
  readonly statistics = statisticsLayout({ detection: [], segmentation: [], scene: [], depth: { kind: "none" } });
  readonly examples: number;
  readonly #f: Quadratic;
  readonly #steps: number;
  readonly #rate: number;
  readonly #proximal: number;
  /** Rounds in which it trained. */
  readonly rounds: number[] = [];

  constructor(f: Quadratic, steps: number, rate: number, proximal = 0, examples = 8) {
    this.#f = f;
    this.#steps = steps;
    this.#rate = rate;
    this.#proximal = proximal;
    this.examples = examples;
    this.layout = layoutOf([{ name: "x", shape: [f.curvature.length] }]);
  }

  async train({ params, correction, round, signal }: TrainingJob): Promise<TrainingResult> {
    signal.throwIfAborted();
    this.rounds.push(round);
    const start = [...params];
    let x = start;
    for (let step = 0; step < this.#steps; step++) {
      const gradient = gradientAt(this.#f, x);
      x = x.map((value, k) => {
        const pull = this.#proximal * (value - (start[k] as number));
        return value - this.#rate * ((gradient[k] as number) + pull + (correction?.[k] ?? 0));
      });
    }
    const delta = Float32Array.from(x, (value, k) => value - (start[k] as number));
    const startLoss = lossAt(this.#f, start);
    return { delta, examplesSeen: this.#steps, lossSum: 1, lossCount: this.#steps, startLoss };
  }

  async evaluate(): Promise<Float64Array> {
    return new Float64Array(this.statistics.length);
  }

  dispose(): void {}
}
