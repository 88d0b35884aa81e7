/**
 * Server optimizers: the aggregate's mean delta is the negative of a pseudo-gradient (Reddi et al. 2021, "Adaptive
 * Federated Optimization", algorithm 2). Pure: params and moments in, new ones out. One table, one signature.
 *   fedavg      x' = x + lr * m,  m = beta * m + delta        (beta = 0: m = delta; McMahan et al. 2017)
 *   fedprox     as fedavg with lr = 1; its proximal term is the clients' (Li et al. 2020)
 *   fednova, qfedavg, fedbuff  as fedavg; what the delta is scaled by is in shared/strategies/scaling.ts
 *   feddyn      h' = h - alpha * (survivors / population) * delta,  x' = x + delta - h' / alpha (Acar et al. 2021)
 *   scaffold    x' = x + lr * delta_x,  c' = c + (survivors / population) * delta_c (Karimireddy et al. 2020); the state is
 *               [x, c], as shared/params/control.ts lays it out
 *   fedadagrad  v' = v + delta^2
 *   fedyogi     v' = v - (1 - beta2) * delta^2 * sign(v - delta^2)
 *   fedadam     v' = beta2 * v + (1 - beta2) * delta^2
 *   the three   m' = beta1 * m + (1 - beta1) * delta,  x' = x + lr * m' / (sqrt(v') + tau)
 * Moments are float32 like the params; each value is computed in float64 and rounded once.
 */
import type { Strategy } from "../../shared/config/strategy.ts";
import { newServerState, type ServerState } from "./server-state-codec.ts";

/**
 * One step; `state` is not changed. `survivors`: clients in the mean; `invited`: all that there are where the strategy does
 * not say, and `survivors` unless given.
 */
export type ServerStep = (
  state: ServerState,
  meanDelta: Float32Array,
  survivors?: number,
  invited?: number,
) => ServerState;

/** The server's step for a strategy of federation.yaml. */
export function serverStep(strategy: Strategy): ServerStep {
  switch (strategy.name) {
    case "fedavg":
    case "fednova":
      return momentumStep(strategy.serverLearningRate, strategy.serverMomentum);
    case "fedbuff":
      return momentumStep(strategy.serverLearningRate, 0);
    case "fedprox":
    case "qfedavg":
      return momentumStep(1, 0);
    case "feddyn":
      return dynamicStep(strategy.population);
    case "scaffold":
      return controlStep(strategy.serverLearningRate, strategy.population);
    case "fedadagrad":
      // Reddi et al. use no momentum for Adagrad (beta1 = 0), and start v at tau^2.
      return adaptiveStep({ ...strategy, beta1: 0 }, (v, square) => v + square);
    case "fedadam":
      return adaptiveStep(strategy, (v, square) => strategy.beta2 * v + (1 - strategy.beta2) * square);
    case "fedyogi":
      return adaptiveStep(strategy, (v, square) => v - (1 - strategy.beta2) * square * Math.sign(v - square));
  }
}

/** The state before the first step. */
export function initialServerState(params: Float32Array): ServerState {
  const state = newServerState(params.length, []);
  state.params.set(params);
  return state;
}

function momentumStep(learningRate: number, momentum: number): ServerStep {
  return ({ params, moments }, delta) => {
    const state = newServerState(params.length, momentum === 0 ? [] : ["momentum"]);
    const next = state.params;
    const after = state.moments.momentum;
    if (after === undefined) {
      for (let i = 0; i < next.length; i++) next[i] = (params[i] as number) + learningRate * (delta[i] as number);
      return state;
    }
    const before = moments.momentum;
    for (let i = 0; i < next.length; i++) {
      const m = momentum * (before?.[i] ?? 0) + (delta[i] as number);
      after[i] = m;
      next[i] = (params[i] as number) + learningRate * m;
    }
    return state;
  };
}

/** Share of all clients that are in the mean. */
function participation(population: number | null, survivors?: number, invited = survivors): number {
  const all = population ?? invited;
  return survivors === undefined || all === undefined ? 1 : Math.min(1, survivors / all);
}

/** The moment "drift" is -h / alpha: how far the clients' linear terms pull, as a displacement. */
function dynamicStep(population: number | null): ServerStep {
  return ({ params, moments }, delta, survivors, invited) => {
    const state = newServerState(params.length, ["drift"]);
    const after = state.moments["drift"] as Float32Array;
    const share = participation(population, survivors, invited);
    for (let i = 0; i < params.length; i++) {
      const drift = (moments["drift"]?.[i] ?? 0) + share * (delta[i] as number);
      after[i] = drift;
      state.params[i] = (params[i] as number) + (delta[i] as number) + drift;
    }
    return state;
  };
}

function controlStep(learningRate: number, population: number | null): ServerStep {
  return ({ params }, delta, survivors, invited) => {
    const state = newServerState(params.length, []);
    const half = params.length / 2;
    const share = participation(population, survivors, invited);
    for (let i = 0; i < params.length; i++) {
      state.params[i] = (params[i] as number) + (i < half ? learningRate : share) * (delta[i] as number);
    }
    return state;
  };
}

interface Adaptive {
  readonly serverLearningRate: number;
  readonly beta1: number;
  readonly tau: number;
}

function adaptiveStep(
  { serverLearningRate, beta1, tau }: Adaptive,
  secondMoment: (v: number, deltaSquared: number) => number,
): ServerStep {
  return ({ params, moments }, delta) => {
    const state = newServerState(params.length, ["first", "second"]);
    const next = state.params;
    const { first, second } = state.moments as Record<"first" | "second", Float32Array>;
    for (let i = 0; i < next.length; i++) {
      const d = delta[i] as number;
      const m = beta1 * (moments.first?.[i] ?? 0) + (1 - beta1) * d;
      const v = secondMoment(moments.second?.[i] ?? tau * tau, d * d);
      first[i] = m;
      second[i] = v;
      next[i] = (params[i] as number) + (serverLearningRate * m) / (Math.sqrt(v) + tau);
    }
    return state;
  };
}
