/**
 * Gradient inversion: the picture back from an update, after one step of training on one picture. The same attack is run on
 * what a coordinator gets from one client without and with secure aggregation, and on the sum over all, after unmasking.
 */
import { encodeUpdate } from "../../client/update/encode.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { fixedPoint, signedView } from "../../shared/quantize/fixed-point.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import { addMasks, pairwiseMask, selfMask, type Words } from "../../shared/secagg/mask.ts";
import { trainingLayout } from "../../shared/secagg/vector-layout.ts";
import { CLASSES, type AttackedNetwork } from "./attacked-network.ts";

interface Inverted {
  /** Values in [0, 1]. */
  readonly picture: Float32Array;
  /** Pearson correlation with the true picture; 1 is the picture itself. */
  readonly correlation: number;
}

type Seen = "plain" | "masked" | "sum";

export interface InversionResult {
  readonly truth: Float32Array;
  /** From one client's plain update. */
  readonly plain: Inverted;
  /** From the vector that the same client uploads under secure aggregation. */
  readonly masked: Inverted;
  /** From the sum over all clients. */
  readonly sum: Inverted;
}

/**
 * @param pictures of one client each, in [0, 1]; the first client's is attacked
 * @param crypto and `random`: for the masks, which are the protocol's
 * @param onInverted called after each of the three attacks
 */
export async function invertUpdates(
  network: AttackedNetwork,
  pictures: readonly Float32Array[],
  { crypto, random }: { readonly crypto: CryptoPort; readonly random: SecureRng },
  signal: AbortSignal,
  onInverted: (what: Seen, correlation: number) => void = () => {},
): Promise<InversionResult> {
  const [truth] = pictures as readonly [Float32Array];
  const { params } = network;
  const deltas = pictures.map((picture, i) => network.step(picture, i % CLASSES));
  const layout = trainingLayout({ wordBits: 32, cohortMax: pictures.length, coordinates: params.length });
  const fixed = fixedPoint({ wordBits: 32, cohortMax: pictures.length, maxWeight: 1, coordinateBound: 1 });
  const rules = { layout, fixed, clipNorm: null, examplesPerWeight: 1 };
  const vectors = deltas.map(
    (delta) => encodeUpdate(rules, params, { delta, examples: 1, examplesSeen: 1, lossSum: 1, scaling: null }).words,
  );
  const attack = async (what: Seen, words: Words): Promise<Inverted> => {
    const coordinates = signedView(words.subarray(0, params.length));
    const picture = await network.invert(
      Float32Array.from(coordinates, (q) => q / fixed.scale),
      signal,
    );
    const correlation = correlationOf(picture, truth);
    onInverted(what, correlation);
    return { picture, correlation };
  };
  const sum = vectors.reduce((total, words) => total.map((word, i) => word + (words[i] as number)));
  return {
    truth,
    plain: await attack("plain", vectors[0] as Words),
    masked: await attack("masked", maskedFirst(vectors, crypto, random)),
    sum: await attack("sum", sum),
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
