/**
 * Initial values of layers of TensorFlow.js: what their initializers say, but drawn from the federation's seed, so that
 * they are equal on every machine. The layers' own random numbers have no such seed.
 */
import { Rng } from "../shared/rng/rng.ts";
import * as tf from "./engine/tf.ts";

/** The part of a tfjs initializer that is used here. */
export interface Initializer {
  apply(shape: number[]): tf.Tensor;
  getClassName(): string;
  getConfig(): tf.serialization.ConfigDict;
}

/** Values for the weight `name`, from a stream of its own. */
export function valuesOf(initializer: Initializer, name: string, shape: readonly number[], seed: number): Float32Array {
  const rng = Rng.of(seed, "initial weights", name);
  const settings = initializer.getConfig();
  const number = (field: string, otherwise: number) => Number(settings[field] ?? otherwise);
  const size = shape.reduce((product, side) => product * side, 1);
  const fill = (draw: () => number) => Float32Array.from({ length: size }, draw);
  switch (initializer.getClassName()) {
    case "RandomUniform": {
      const [low, high] = [number("minval", -0.05), number("maxval", 0.05)];
      return fill(() => low + (high - low) * rng.uniform());
    }
    case "RandomNormal":
      return fill(() => number("mean", 0) + number("stddev", 0.05) * rng.normal());
    case "TruncatedNormal":
      return fill(() => number("mean", 0) + number("stddev", 0.05) * truncated(rng));
    case "Orthogonal":
      return orthogonal(shape, number("gain", 1), rng);
    default:
      break;
  }
  if ("distribution" in settings) {
    const { fanIn, fanOut } = fans(shape);
    const mode = String(settings["mode"]);
    const fan = mode === "fanOut" || mode === "fan_out" ? fanOut : /avg/i.test(mode) ? (fanIn + fanOut) / 2 : fanIn;
    const scale = number("scale", 1) / Math.max(1, fan);
    if (settings["distribution"] === "uniform") {
      const limit = Math.sqrt(3 * scale);
      return fill(() => limit * (2 * rng.uniform() - 1));
    }
    return fill(() => Math.sqrt(scale) * truncated(rng));
  }
  // Zeros, ones, constants, identities and the forget gate's bias: no chance in them.
  return tf.tidy(() => initializer.apply([...shape]).dataSync<"float32">());
}

/** Standard normal within two deviations. */
function truncated(rng: Rng): number {
  for (;;) {
    const value = rng.normal();
    if (Math.abs(value) <= 2) return value;
  }
}

/** Inputs and outputs of one unit; the sides of a kernel count with both. */
function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  if (shape.length < 2) return { fanIn: shape[0] ?? 1, fanOut: shape[0] ?? 1 };
  const field = shape.slice(0, -2).reduce((product, side) => product * side, 1);
  return { fanIn: field * (shape.at(-2) as number), fanOut: field * (shape.at(-1) as number) };
}

/** A matrix with orthogonal rows or columns, whichever are fewer (Saxe et al. 2014), by Gram and Schmidt. */
function orthogonal(shape: readonly number[], gain: number, rng: Rng): Float32Array {
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, side) => product * side, 1);
  const [count, length] = rows < columns ? [rows, columns] : [columns, rows];
  const basis: Float64Array[] = [];
  while (basis.length < count) {
    const vector = Float64Array.from({ length }, () => rng.normal());
    for (const other of basis) {
      const along = vector.reduce((sum, value, i) => sum + value * (other[i] as number), 0);
      for (let i = 0; i < length; i++) vector[i] = (vector[i] as number) - along * (other[i] as number);
    }
    const norm = Math.hypot(...vector);
    if (norm > 1e-6) basis.push(vector.map((value) => value / norm));
  }
  return Float32Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    return gain * ((rows < columns ? basis[row]?.[column] : basis[column]?.[row]) as number);
  });
}
