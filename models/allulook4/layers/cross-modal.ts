/**
 * The fusion of another modality into the visual tokens. Every effect of the other modality is multiplied by its
 * presence (0 or 1 per sample), so that without it the visual path is what it would be alone.
 */
import * as tf from "../../engine/tf.ts";
import { attentionPass, attentionWeights } from "../../kernels/attention.ts";
import { differentiable, forget, type Keep, type Pass } from "../../kernels/differentiable.ts";
import { densePass } from "../../kernels/linear.ts";
import { kernels } from "../../kernels/loaded.ts";
import { tokenNormPass } from "../../kernels/norm.ts";
import { AllulookLayer, inputShapes, type LayerConfig, read, type Shape } from "./layer.ts";

export interface CrossModalConfig extends LayerConfig {
  heads: number;
  /** Column of `presence`. */
  modality: number;
}

/**
 * Inputs: visual tokens [B, T, D], the other modality's [B, S, D], presence [B, 3], and for text the word mask [B, S].
 * y = visual * (1 + present * (2 gate - 1)) + present * attended, where gate is a sigmoid of the other modality's mean
 * token: it can dim or amplify every visual channel, and is neutral at one half.
 */
export class CrossModalFusion extends AllulookLayer {
  static className = "AllulookCrossModalFusion";
  readonly #config: CrossModalConfig;
  #weights: tf.LayerVariable[] = [];

  constructor(config: CrossModalConfig) {
    super(config);
    this.#config = config;
  }

  /** Column of `presence`. */
  get modality(): number {
    return this.#config.modality;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { heads, modality } = this.#config;
    return { heads, modality };
  }

  override build(shape: Shape | Shape[]): void {
    const width = inputShapes(shape)[0]?.at(-1) as number;
    this.#weights = [
      this.weight("visualScale", [width]),
      this.weight("queryLinearKernel", [width, width]),
      this.weight("queryBias", [width]),
      this.weight("otherScale", [width]),
      this.weight("keyValueLinearKernel", [width, 2 * width]),
      this.weight("keyValueBias", [2 * width]),
      this.weight("projectionLinearKernel", [width, width]),
      this.weight("projectionBias", [width]),
      this.weight("gateOutKernel", [width, width]),
      this.weight("gateBias", [width]),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return inputShapes(shape)[0] as Shape;
  }

  protected override forward([visual, other, presence, mask]: tf.Tensor[]): tf.Tensor {
    const [stream, source] = [visual as tf.Tensor3D, other as tf.Tensor3D];
    const [batch, tokens, width] = stream.shape;
    const others = source.shape[1];
    const { heads, modality } = this.#config;
    const w = this.#weights.map((weight) => read(weight));
    const weight = (i: number) => w[i] as tf.Tensor;
    return differentiable([stream, source, ...w], (keep) => {
      const k = kernels();
      const visualNorm = tokenNormPass(keep, k.reshape(stream, [batch * tokens, width]), weight(0));
      const otherNorm = tokenNormPass(keep, k.reshape(source, [batch * others, width]), weight(3));
      const query = densePass(keep, visualNorm.y, weight(1), weight(2), false);
      const keyValue = densePass(keep, otherNorm.y, weight(4), weight(5), false);
      const bias = biasOf(mask);
      const attend = crossAttentionPass(keep, query.y, keyValue.y, { batch, tokens, others, heads, width }, bias);
      const project = densePass(keep, attend.y, weight(6), weight(7), false);
      const shares =
        mask === undefined ? tf.mul(tf.ones([batch, 1, others]), 1 / others) : wordShares(mask as tf.Tensor2D);
      const mean = k.reshape(k.products(shares, k.reshape(otherNorm.y, source.shape), false, false), [batch, width]);
      const gate = densePass(keep, mean, weight(8), weight(9), false);
      const { gain, byLogit, present } = gains(gate.y, presence as tf.Tensor2D, modality);
      const [keptStream, keptShares] = [keep(stream), keep(shares)];
      return {
        y: k.add(k.scaleChannels(stream, gain), k.scaleChannels(k.reshape(project.y, stream.shape), present)),
        back(dy) {
          const flat = [batch * tokens, width];
          const [dAttended, ...projectWeights] = project.back(k.reshape(k.scaleChannels(dy, present), flat));
          const [dQuery, dKeyValue] = attend.back(dAttended);
          const [dVisual, ...queryWeights] = query.back(dQuery);
          const direct = k.reshape(k.scaleChannels(dy, gain), flat);
          const [dStream, visualScale] = visualNorm.back(dVisual, direct);
          const products = k.sumProducts(dy, keptStream());
          const dLogit = byLogit.map((slope, i) => slope * (products[i] as number));
          const [dMean, ...gateWeights] = gate.back(tf.tensor2d(dLogit, [batch, width]));
          const dShared = k.products(keptShares(), k.reshape(dMean, [batch, 1, width]), true, false);
          const [dOthers, ...keyValueWeights] = keyValue.back(dKeyValue);
          const [dSource, otherScale] = otherNorm.back(k.add(dOthers, k.reshape(dShared, dOthers.shape)));
          return [
            k.reshape(dStream, stream.shape),
            k.reshape(dSource, source.shape),
            visualScale,
            ...queryWeights,
            otherScale,
            ...keyValueWeights,
            ...projectWeights,
            ...gateWeights,
          ];
        },
      };
    });
  }

  /** What every visual token attends to in the other modality, given the layer's inputs. @returns [B, heads, T, S] */
  attention([visual, other, , mask]: readonly tf.Tensor[]): tf.Tensor {
    const [stream, source] = [visual as tf.Tensor3D, other as tf.Tensor3D];
    const [batch, tokens, width] = stream.shape;
    const others = source.shape[1];
    const { heads } = this.#config;
    return tf.tidy(() => {
      const k = kernels();
      const weight = (i: number) => read(this.#weights[i] as tf.LayerVariable);
      const visualNorm = tokenNormPass(forget, k.reshape(stream, [batch * tokens, width]), weight(0));
      const otherNorm = tokenNormPass(forget, k.reshape(source, [batch * others, width]), weight(3));
      const query = densePass(forget, visualNorm.y, weight(1), weight(2), false);
      const keyValue = densePass(forget, otherNorm.y, weight(4), weight(5), false);
      const shape = { batch, tokens, others, heads, width };
      return attentionWeights(splitQueries(query.y, shape), splitKeyValues(keyValue.y, shape)[0], biasOf(mask));
    });
  }
}
tf.serialization.registerClass(CrossModalFusion);

/** Added to the scores of the words: those that are none are not attended to. */
function biasOf(mask: tf.Tensor | undefined): tf.Tensor2D | null {
  return mask === undefined ? null : (tf.mul(tf.sub(mask, 1), 1e4) as tf.Tensor2D);
}

/** Share of every word in its caption's mean, [B, 1, S]; all zero without words. */
function wordShares(mask: tf.Tensor2D): tf.Tensor {
  const shares = tf.div(mask, tf.maximum(tf.sum(mask, 1, true), 1));
  return tf.reshape(shares, [mask.shape[0], 1, mask.shape[1]]);
}

/**
 * What the gate does to every sample's channels, each [B * D]: the factor of the visual tokens, its derivative by the
 * gate's logit, and the factor of what was attended to.
 */
function gains(logits: tf.Tensor, presence: tf.Tensor2D, modality: number) {
  const [batch, width] = logits.shape as [number, number];
  const values = logits.dataSync<"float32">();
  const presences = presence.dataSync<"float32">();
  const gain = new Float32Array(values.length);
  const byLogit = new Float32Array(values.length);
  const present = new Float32Array(values.length);
  for (let i = 0; i < batch * width; i++) {
    const there = presences[Math.floor(i / width) * presence.shape[1] + modality] as number;
    const gate = 1 / (1 + Math.exp(-(values[i] as number)));
    gain[i] = 1 + there * (2 * gate - 1);
    byLogit[i] = 2 * there * gate * (1 - gate);
    present[i] = there;
  }
  return { gain, byLogit, present };
}

interface CrossShape {
  readonly batch: number;
  readonly tokens: number;
  readonly others: number;
  readonly heads: number;
  readonly width: number;
}

/** Queries [B * T, D], keys and values side by side [B * S, 2 * D] -> attended [B * T, D]; gradients of both. */
function crossAttentionPass(
  keep: Keep,
  query: tf.Tensor,
  keyValue: tf.Tensor,
  shape: CrossShape,
  bias: tf.Tensor2D | null,
): Pass<[tf.Tensor, tf.Tensor]> {
  const k = kernels();
  const { batch, tokens, width } = shape;
  const merge = (x: tf.Tensor) => k.reshape(k.transpose(x, [0, 2, 1, 3]), [batch * tokens, width]);
  const [keys, values] = splitKeyValues(keyValue, shape);
  const { y, back } = attentionPass(keep, splitQueries(query, shape), keys, values, bias);
  return {
    y: merge(y),
    back(dy) {
      const [dQueries, ...dKeyValue] = back(splitQueries(dy, shape));
      return [merge(dQueries), k.reshape(k.transpose(k.stack(dKeyValue), [1, 3, 0, 2, 4]), keyValue.shape)];
    },
  };
}

/** [B * T, D] -> [B, heads, T, d] */
function splitQueries(x: tf.Tensor, { batch, tokens, heads, width }: CrossShape): tf.Tensor {
  const k = kernels();
  return k.transpose(k.reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B * S, 2 * D] -> keys and values, [B, heads, S, d] each. */
function splitKeyValues(x: tf.Tensor, { batch, others, heads, width }: CrossShape): [tf.Tensor, tf.Tensor] {
  const k = kernels();
  const apart = k.transpose(k.reshape(x, [batch, others, 2, heads, width / heads]), [2, 0, 3, 1, 4]);
  return k.unstack(apart, 2) as [tf.Tensor, tf.Tensor];
}
