/**
 * Strategies in which each client's update is scaled by something only the client knows, and the mean by what these come to
 * in sum: both halves of each together. A client sends w (factor * delta) and the statistic w * share; the server takes
 * gain(sum of w * share, sum of w) times the mean.
 *   fednova  Wang et al. 2020, "Tackling the Objective Inconsistency Problem" (equation 5): normalized updates
 *   qfedavg  Li et al. 2020, "Fair Resource Allocation in Federated Learning" (algorithm 2): x += sum D_k / sum h_k with
 *            D_k = L F^q delta_k and h_k = q F^(q-1) |L delta_k|^2 + L F^q
 *   fedbuff  Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation": an update that was begun tau
 *            versions ago counts (1 + tau)^(-1/2); the client's half alone, the mean stays that of all in the buffer
 * Factors are at most 1, or near it, so updates keep the range of fixed point.
 */
import type { FederationConfig } from "../config/federation.ts";
import type { Strategy } from "../config/strategy.ts";

type Optimizer = FederationConfig["training"]["optimizer"];

/** The statistic that rides with the update. */
export const SHARE = "share";

export function scales({ name }: Strategy): boolean {
  return name === "fednova" || name === "qfedavg";
}

export interface LocalFacts {
  /** Optimizer steps taken. */
  readonly steps: number;
  /** L2 norm of the delta. */
  readonly norm: number;
  /** Mean loss of the params that training began with, on the training samples. */
  readonly startLoss: number;
  /** Versions committed since training began. */
  readonly staleness: number;
}

export interface LocalScaling {
  readonly factor: number;
  /** Left out where the server's half has none. */
  readonly share?: number;
}

/** The client's half; null where the strategy has none. */
export function localScaling(strategy: Strategy, optimizer: Optimizer, facts: LocalFacts): LocalScaling | null {
  switch (strategy.name) {
    case "fednova": {
      const progress = progressOf(optimizer, facts.steps) / progressOf(optimizer, strategy.steps);
      const share = Math.min(MOST_PROGRESS, progress);
      return { factor: 1 / share, share };
    }
    case "qfedavg": {
      const { norm, startLoss } = facts;
      const [least, most] = strategy.lossRange;
      const loss = Math.min(most, Math.max(least, startLoss));
      const factor = (loss / most) ** strategy.q;
      const lipschitz = strategy.lipschitz ?? 1 / optimizer.learningRate;
      return { factor, share: factor * (1 + (strategy.q * lipschitz * norm * norm) / loss) };
    }
    case "fedbuff":
      return { factor: 1 / Math.sqrt(1 + facts.staleness) };
    default:
      return null;
  }
}

/** A client that took more than so many times `steps` of fednova counts as one that took as many. */
const MOST_PROGRESS = 100;

/** What a client's share can be, for each unit of its weight. */
export interface ShareRange {
  readonly least: number;
  readonly most: number;
}

/**
 * Null where the strategy has no shares. Without it one client's claim would multiply everybody's update by as much as it
 * likes. Of qfedavg only the least is known: a share that is too large makes the step smaller.
 */
export function shareRange(strategy: Strategy, optimizer: Optimizer): ShareRange | null {
  switch (strategy.name) {
    case "fednova":
      return { least: progressOf(optimizer, 1) / progressOf(optimizer, strategy.steps), most: MOST_PROGRESS };
    case "qfedavg": {
      const [least, most] = strategy.lossRange;
      return { least: (least / most) ** strategy.q, most: Number.POSITIVE_INFINITY };
    }
    default:
      return null;
  }
}

/** The server's half: what the mean of the scaled updates is multiplied by. */
export function serverGain(strategy: Strategy, totalShare: number, totalWeight: number): number {
  return strategy.name === "fednova" ? totalShare / totalWeight : totalWeight / totalShare;
}

/**
 * |a|_1 of Wang et al.: how often a round's gradients count in its update, in units of one step at the full rate. Falling
 * rates count as the share that is left, momentum with what later steps still take of a gradient; optimizers that scale
 * gradients themselves count as SGD does.
 */
export function progressOf({ name, decay, momentum = 0.9 }: Optimizer, steps: number): number {
  const beta = name === "momentum" ? momentum : 0;
  let sum = 0;
  let velocity = 0;
  for (let step = 0; step < steps; step++) {
    velocity = beta * velocity + 1;
    sum += velocity * (1 - (decay * step) / steps);
  }
  return sum;
}
