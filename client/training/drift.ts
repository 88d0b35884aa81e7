/**
 * Strategies that keep clients from drifting apart: a term, constant over the round, is added to every local gradient, and
 * each site keeps what it comes from for itself (as `personal` params, which never leave it). Wraps any trainer that
 * takes such a term.
 *   scaffold  Karimireddy et al. 2020, "SCAFFOLD: Stochastic Controlled Averaging" (option II): gradient - c_i + c;
 *             c_i' = c_i - c + (x - y) / (K eta). Sent: [y - x, c_i' - c_i].
 *   feddyn    Acar et al. 2021, "Federated Learning Based on Dynamic Regularization": gradient - g_i + alpha (y - x);
 *             g_i' = g_i - alpha (y - x). Its proximal part is `training.proximal`. Sent: y - x.
 * Control variates are kept and sent as eta c, the displacement of one step, which has the size of updates.
 */
import type { FederationConfig } from "../../shared/config/federation.ts";
import type { Strategy } from "../../shared/config/strategy.ts";
import { withControl } from "../../shared/params/control.ts";
import { layoutOf, type ParamLayout } from "../../shared/params/layout.ts";
import { progressOf } from "../../shared/strategies/scaling.ts";
import type { Trainer, TrainingJob, TrainingResult } from "./trainer.ts";

/**
 * Whether what a site keeps must be what its updates in the sums came to: the server's half adds up the changes alone. What
 * a round left counts only once its sum has it, or both would be out of step for good.
 */
export function keepsWhatCounted({ name }: Strategy): boolean {
  return name === "scaffold" || name === "feddyn";
}

/** The trainer as the strategy needs it; itself for most. */
export function correctingDrift(
  inner: Trainer,
  strategy: Strategy | undefined,
  optimizer: FederationConfig["training"]["optimizer"],
): Trainer {
  if (strategy?.name === "scaffold") return controlled(inner, optimizer);
  return strategy?.name === "feddyn" ? regularized(inner, strategy.alpha) : inner;
}

function controlled(inner: Trainer, optimizer: FederationConfig["training"]["optimizer"]): Trainer {
  const size = inner.layout.length;
  return {
    ...around(inner),
    layout: withControl(inner.layout),
    personal: keptLayout(inner.layout, "own-control"),
    train: async (job) => {
      const params = job.params.slice(0, size);
      const control = job.params.subarray(size);
      const own = job.personal ?? new Float32Array(size);
      const rate = optimizer.learningRate;
      const correction = control.map((c, i) => (c - (own[i] as number)) / rate);
      const result = await inner.train({ ...withoutPersonal(job), params, correction });
      const progress = progressOf(optimizer, result.lossCount);
      const delta = new Float32Array(2 * size);
      const next = new Float32Array(size);
      delta.set(result.delta);
      for (let i = 0; i < size; i++) {
        const change = -(control[i] as number) - (result.delta[i] as number) / progress;
        delta[size + i] = change;
        next[i] = (own[i] as number) + change;
      }
      return { ...result, delta, personal: next };
    },
    evaluate: (params, signal) => inner.evaluate(params.slice(0, size), signal),
  };
}

function regularized(inner: Trainer, alpha: number): Trainer {
  return {
    ...around(inner),
    personal: keptLayout(inner.layout, "own-gradient"),
    train: async (job) => {
      const own = job.personal ?? new Float32Array(inner.layout.length);
      const correction = own.map((g) => -g);
      const result: TrainingResult = await inner.train({ ...withoutPersonal(job), correction });
      return { ...result, personal: own.map((g, i) => g - alpha * (result.delta[i] as number)) };
    },
    evaluate: (params, signal) => inner.evaluate(params, signal),
  };
}

/** A trainer may be a class: its methods are named one by one. */
function around(
  inner: Trainer,
): Pick<Trainer, "layout" | "examples" | "evaluationExamples" | "statistics" | "dispose"> {
  const { layout, examples, evaluationExamples, statistics } = inner;
  return { layout, examples, evaluationExamples, statistics, dispose: () => inner.dispose() };
}

function keptLayout({ tensors }: ParamLayout, prefix: string): ParamLayout {
  return layoutOf(tensors.map(({ name, shape }) => ({ name: `${prefix}/${name}`, shape })));
}

function withoutPersonal({ personal: _own, ...job }: TrainingJob): TrainingJob {
  return job;
}
