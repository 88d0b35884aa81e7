/**
 * Gradient inversion: the picture back from an update. The input of a fully connected layer with biases is the quotient of
 * two of its gradients (Phong et al. 2018, section 3; Geiping et al. 2020, proposition 3.1), so one picture, one step and a
 * small network are enough. The same attack is run on what a coordinator gets from one client under secure aggregation, and
 * on the sum over all of them, after unmasking.
 */
import { encodeUpdate } from "../../client/update/encode.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { layoutOf } from "../../shared/params/layout.ts";
import { fixedPoint, signedView } from "../../shared/quantize/fixed-point.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { addMasks, pairwiseMask, selfMask, type Words } from "../../shared/secagg/mask.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";

const HIDDEN = 64;
const CLASSES = 10;
const RATE = 0.5;

interface Inverted {
  /** Values in [0, 1]. */
  readonly picture: Float32Array;
  /** Pearson correlation with the true picture; 1 is the picture itself. */
  readonly correlation: number;
}

export interface InversionResult {
  readonly truth: Float32Array;
  /** From one client's plain update. */
  readonly plain: Inverted;
  /** From the vector that the same client uploads under secure aggregation. */
  readonly masked: Inverted;
  /** From the sum over all clients. */
  readonly sum: Inverted;
}

/** @param pictures of one client each, in [0, 1]; the first client's is attacked */
export function invertUpdates(
  pictures: readonly Float32Array[],
  seed: number,
  crypto: CryptoPort,
  random: SecureRng,
): InversionResult {
  const [truth] = pictures as readonly [Float32Array];
  const size = truth.length;
  const params = layoutOf([
    { name: "kernel", shape: [HIDDEN, size] },
    { name: "bias", shape: [HIDDEN] },
  ]);
  const network = initialNetwork(size, seed);
  const deltas = pictures.map((picture, i) => firstLayerStep(network, picture, i % CLASSES));
  const layout = trainingLayout({ wordBits: 32, cohortMax: pictures.length, coordinates: params.length });
  const fixed = fixedPoint({ wordBits: 32, cohortMax: pictures.length, maxWeight: 1, coordinateBound: 1 });
  const rules = { layout, fixed, clipNorm: null, examplesPerWeight: 1 };
  const vectors = deltas.map(
    (delta) => encodeUpdate(rules, params, { delta, examples: 1, examplesSeen: 1, lossSum: 1, scaling: null }).words,
  );
  const seen = (words: Words) =>
    Float32Array.from(signedView(words.subarray(0, params.length)), (q) => q / fixed.scale);
  const attack = (delta: Float32Array) => inverted(delta, truth);
  const sum = vectors.reduce((total, words) => total.map((word, i) => word + (words[i] as number)));
  return {
    truth,
    plain: attack(seen(vectors[0] as Words)),
    masked: attack(seen(maskedFirst(vectors, crypto, random))),
    sum: attack(seen(sum)),
  };
}

/** The first client's vector with its self mask and one mask for each pair, as the protocol has it. */
function maskedFirst(vectors: readonly Words[], crypto: CryptoPort, random: SecureRng): Words {
  const sid = Buffer.from(random.bytes(32)).toString("hex");
  const keys = vectors.map(() => crypto.agreementKey(random.bytes(32)));
  const parties = keys.map(({ publicKey }, i) => ({ name: `client-${i + 1}`, maskKey: publicKey }));
  const [own, ...others] = parties as [(typeof parties)[number], ...typeof parties];
  const pairs = others.map((peer) => {
    const secret = (keys[0] as (typeof keys)[number]).agree(peer.maskKey);
    if (secret === null) throw new Error("a fresh key is weak");
    return pairwiseMask(crypto, sid, secret, own, peer);
  });
  const masked = (vectors[0] as Words).slice();
  addMasks(crypto, masked, [selfMask(crypto, sid, random.bytes(32)), ...pairs]);
  return masked;
}

interface Network {
  readonly first: Float64Array;
  readonly second: Float64Array;
}

function initialNetwork(size: number, seed: number): Network {
  const rng = Rng.of(seed, "inversion");
  const normal = (length: number, deviation: number) => Float64Array.from({ length }, () => deviation * rng.normal());
  return { first: normal(HIDDEN * size, 1 / Math.sqrt(size)), second: normal(CLASSES * HIDDEN, 1 / Math.sqrt(HIDDEN)) };
}

/** What one step of SGD on one picture changes in the first layer: kernel [HIDDEN, size], then biases. */
function firstLayerStep({ first, second }: Network, picture: Float32Array, label: number): Float32Array {
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

/** The quotient of the unit with the largest bias gradient, brought to [0, 1]. */
function inverted(delta: Float32Array, truth: Float32Array): Inverted {
  const size = truth.length;
  const biases = delta.subarray(HIDDEN * size);
  let unit = 0;
  for (let i = 1; i < HIDDEN; i++) if (Math.abs(biases[i] as number) > Math.abs(biases[unit] as number)) unit = i;
  const divisor = biases[unit] as number;
  const values = delta.slice(unit * size, (unit + 1) * size).map((value) => value / divisor);
  const picture = values.map((value) => Math.min(1, Math.max(0, value)));
  return { picture, correlation: correlationOf(picture, truth) };
}

function correlationOf(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(a[i] as number) - meanA, (b[i] as number) - meanB];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return ofA === 0 || ofB === 0 ? 0 : both / Math.sqrt(ofA * ofB);
}
