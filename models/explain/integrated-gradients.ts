/**
 * Integrated gradients (Sundararajan et al. 2017): what each input value contributes to a target, as the difference from
 * its absence times the mean gradient on the straight way from there to here. All modalities go the way together, so
 * the contributions of all add up to what the sample changes (completeness); the gap left by counting steps is reported.
 */
import { CodedError } from "../../shared/errors.ts";
import * as tf from "../engine/tf.ts";
import { type Modality, type OpenSample, type Point } from "./points.ts";
import { scoresOf, type Target } from "./target.ts";

export interface IntegratedGradients {
  /** Contribution of every value of each modality's point. */
  readonly contributions: ReadonlyMap<Modality, Float32Array>;
  /** The target at the sample, and where nothing is known. */
  readonly score: number;
  readonly absentScore: number;
  /** Sum of all contributions - (score - absentScore). */
  readonly gap: number;
  readonly steps: number;
}

export interface IntegrationOptions {
  /** Points on the way; doubled until the gap is small enough, up to `maxSteps`. */
  readonly steps: number;
  readonly maxSteps: number;
  /** Largest gap, as a share of the difference (or of 1 in 100, where that is larger). */
  readonly tolerance: number;
}

export const INTEGRATION_DEFAULTS: IntegrationOptions = { steps: 32, maxSteps: 128, tolerance: 0.05 };
const LEAST_DIFFERENCE = 0.01;
/**
 * The way is walked as time^4: norms make the model nearly blind to the size of a faint input, so that almost all of
 * its answer comes in the first steps from nothing. The integral is the same, its sum comes close with fewer steps.
 */
const EASE = 4;

/** Pixels of all pictures that are worked on at once: bounds memory. */
const PIXELS_AT_ONCE = 8 * 128 * 128;

/** How many variants of a picture are computed at once. */
export function variantsAtOnce(height: number, width: number): number {
  return Math.max(1, Math.floor(PIXELS_AT_ONCE / (height * width)));
}

/**
 * Contributions of all open modalities to `target`. Needs a loaded engine.
 *
 * @throws CodedError MODEL_NO_GRADIENT where an operation of the model has no gradient
 */
export function integratedGradients(
  sample: OpenSample,
  target: Target,
  atOnce: number,
  options: IntegrationOptions = INTEGRATION_DEFAULTS,
): IntegratedGradients {
  const [absentScore, score] = endScores(sample, target);
  const limit = options.tolerance * Math.max(Math.abs(score - absentScore), LEAST_DIFFERENCE);
  for (let { steps } = options; ; steps *= 2) {
    const contributions = integrate(sample, target, steps, atOnce);
    const total = [...contributions.values()].reduce((sum, values) => sum + sumOf(values), 0);
    const gap = total - (score - absentScore);
    if (Math.abs(gap) <= limit || steps * 2 > options.maxSteps) {
      return { contributions, score, absentScore, gap, steps };
    }
  }
}

/** The target where nothing is known, and at the sample. */
function endScores(sample: OpenSample, target: Target): [number, number] {
  return tf.tidy(() => {
    const moved = new Map([...sample.points].map(([modality, point]) => [modality, between(point, [0, 1])]));
    return [...scoresOf(target, sample.outputs(moved, 2)).dataSync()] as [number, number];
  });
}

/** Midpoint rule on `steps` intervals of time. */
function integrate(sample: OpenSample, target: Target, steps: number, atOnce: number): Map<Modality, Float32Array> {
  const modalities = [...sample.points.keys()];
  const points = [...sample.points.values()];
  const totals = points.map(({ at }) => new Float64Array(at.length));
  for (let first = 0; first < steps; first += atOnce) {
    const counts = Array.from({ length: Math.min(atOnce, steps - first) }, (_, i) => first + i);
    const shares = counts.map((count) => ((count + 0.5) / steps) ** EASE);
    // What each point stands for, of the way from 0 to 1.
    const lengths = counts.map((count) => ((count + 1) / steps) ** EASE - (count / steps) ** EASE);
    tf.tidy(() => {
      const places = points.map((point) => between(point, shares));
      const gradients = gradientsOf((...at) => {
        const moved = new Map(modalities.map((modality, i) => [modality, at[i] as tf.Tensor]));
        // An input that the target does not depend on has the gradient 0, not none.
        const unused = at.map((place) => tf.mul(tf.sum(place), 0));
        const scores = scoresOf(target, sample.outputs(moved, shares.length));
        return [tf.sum(tf.mul(scores, tf.tensor1d(lengths))), ...unused].reduce((a, b) => tf.add(a, b));
      }, places);
      for (const [i, gradient] of gradients.entries()) {
        const total = totals[i] as Float64Array;
        const values = tf.sum(gradient, 0).dataSync();
        for (let k = 0; k < total.length; k++) total[k] = (total[k] as number) + (values[k] as number);
      }
    });
  }
  return new Map(
    modalities.map((modality, i) => {
      const { at, absent } = points[i] as Point;
      const mean = totals[i] as Float64Array;
      return [modality, at.map((value, k) => (value - (absent[k] as number)) * (mean[k] as number))];
    }),
  );
}

function gradientsOf(f: (...at: tf.Tensor[]) => tf.Tensor, places: tf.Tensor[]): tf.Tensor[] {
  try {
    return tf.grads(f)(places);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CodedError("MODEL_NO_GRADIENT", `the model has no gradient for its inputs: ${why}`, {}, { cause: error });
  }
}

/** absent + share * (at - absent) for every share, [shares, ...]. */
function between({ shape, at, absent }: Point, shares: readonly number[]): tf.Tensor {
  const start = tf.tensor(absent, [1, ...shape]);
  const way = tf.sub(tf.tensor(at, [1, ...shape]), start);
  return tf.add(start, tf.mul(way, tf.tensor([...shares], [shares.length, ...shape.map(() => 1)])));
}

function sumOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
