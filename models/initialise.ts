/**
 * Initial values of a model's weights, from the federation's seed alone and equal on every engine: the last part of a
 * weight's name says how it starts.
 */
import { Rng } from "../shared/rng/rng.ts";

type Rule = (shape: readonly number[], rng: Rng) => Float32Array;

/** He et al. 2015 before ReLU, LeCun before linear, near zero at the end of a residual branch. */
const RULES: readonly (readonly [suffix: RegExp, rule: Rule])[] = [
  [/scale$/i, (shape) => new Float32Array(volume(shape)).fill(1)],
  // Log-odds of 1 in 100.
  [/priorBias$/, (shape) => new Float32Array(volume(shape)).fill(-Math.log(99))],
  [/bias$/i, (shape) => new Float32Array(volume(shape))],
  [/embedding$/, (shape, rng) => normal(shape, rng, 1)],
  [/outKernel$/i, (shape, rng) => normal(shape, rng, 0.3 / Math.sqrt(fanIn(shape)))],
  // Of adapters; the other factor begins at zero.
  [/adapterDown$/, (shape, rng) => normal(shape, rng, 1 / Math.sqrt(fanIn(shape)))],
  [/linearKernel$/i, (shape, rng) => normal(shape, rng, 1 / Math.sqrt(fanIn(shape)))],
  [/kernel$/i, (shape, rng) => normal(shape, rng, Math.sqrt(2 / fanIn(shape)))],
];

/** The initial values of the weight `name`; its own stream, so that a weight does not depend on those before it. */
export function initialValues(name: string, shape: readonly number[], seed: number): Float32Array {
  const rule = RULES.find(([suffix]) => suffix.test(name))?.[1];
  return rule === undefined ? new Float32Array(volume(shape)) : rule(shape, Rng.of(seed, "initial weights", name));
}

function volume(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** Inputs of one output: depthwise kernels, [k, k, C, 1], see one channel. */
function fanIn(shape: readonly number[]): number {
  const inputs = volume(shape.slice(0, -1));
  return shape.length === 4 && shape[3] === 1 && (shape[2] as number) > 1 && shape[0] === 3
    ? (shape[0] as number) * (shape[1] as number)
    : inputs;
}

function normal(shape: readonly number[], rng: Rng, deviation: number): Float32Array {
  const out = new Float32Array(volume(shape));
  for (let i = 0; i < out.length; i++) out[i] = rng.normal() * deviation;
  return out;
}
