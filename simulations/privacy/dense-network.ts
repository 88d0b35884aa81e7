/**
 * A small fully connected network and its inversion: the input of a layer with biases is the quotient of two of its
 * gradients (Phong et al. 2018, section 3; Geiping et al. 2020, proposition 3.1), so no search is needed.
 */
import { layoutOf } from "../../shared/params/layout.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { CLASSES, RATE, type AttackedNetwork } from "./attacked-network.ts";

const HIDDEN = 64;

/** Of pictures with `size` values: one sigmoid layer, then classes. Only the first layer is trained. */
export function denseNetwork(size: number, seed: number): AttackedNetwork {
  const rng = Rng.of(seed, "inversion");
  const normal = (length: number, deviation: number) => Float64Array.from({ length }, () => deviation * rng.normal());
  const weights = {
    first: normal(HIDDEN * size, 1 / Math.sqrt(size)),
    second: normal(CLASSES * HIDDEN, 1 / Math.sqrt(HIDDEN)),
  };
  return {
    params: layoutOf([
      { name: "kernel", shape: [HIDDEN, size] },
      { name: "bias", shape: [HIDDEN] },
    ]),
    step: (picture, label) => firstLayerStep(weights, picture, label),
    invert: (delta) => Promise.resolve(quotient(delta, size)),
  };
}

interface Weights {
  readonly first: Float64Array;
  readonly second: Float64Array;
}

/** What one step of SGD on one picture changes in the first layer: kernel [HIDDEN, size], then biases. */
function firstLayerStep({ first, second }: Weights, picture: Float32Array, label: number): Float32Array {
  const size = picture.length;
  const hidden = Float64Array.from({ length: HIDDEN }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += (first[i * size + k] as number) * (picture[k] as number);
    return 1 / (1 + Math.exp(-sum));
  });
  const logits = Float64Array.from({ length: CLASSES }, (_, c) =>
    hidden.reduce((sum, h, i) => sum + h * (second[c * HIDDEN + i] as number), 0),
  );
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const errors = logits.map((logit, c) => Math.exp(logit) / total - (c === label ? 1 : 0));
  const delta = new Float32Array(HIDDEN * size + HIDDEN);
  for (let i = 0; i < HIDDEN; i++) {
    const h = hidden[i] as number;
    const back = errors.reduce((sum, error, c) => sum + error * (second[c * HIDDEN + i] as number), 0) * h * (1 - h);
    for (let k = 0; k < size; k++) delta[i * size + k] = -RATE * back * (picture[k] as number);
    delta[HIDDEN * size + i] = -RATE * back;
  }
  return delta;
}

/** Of the unit with the largest bias gradient, brought to [0, 1]. */
function quotient(delta: Float32Array, size: number): Float32Array {
  const biases = delta.subarray(HIDDEN * size);
  let unit = 0;
  for (let i = 1; i < HIDDEN; i++) if (Math.abs(biases[i] as number) > Math.abs(biases[unit] as number)) unit = i;
  const divisor = biases[unit] as number;
  return delta.slice(unit * size, (unit + 1) * size).map((value) => Math.min(1, Math.max(0, value / divisor)));
}
