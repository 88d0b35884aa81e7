/**
 * Text tokens, and the fusion of another modality into the visual tokens. Every effect of another modality is
 * multiplied by its presence (0 or 1 per sample), so that without it the visual path is what it would be alone.
 */
import * as tf from "../../engine/tf.ts";
import { attention } from "../../kernels/attention.ts";
import { dense } from "../../kernels/linear.ts";
import { rmsNorm } from "../../kernels/norm.ts";
import { AllulookLayer, inputShapes, type LayerConfig, read, type Shape } from "./layer.ts";

/** Columns of the model's input `presence`. */
export const PRESENCE = { rgb: 0, depth: 1, text: 2 } as const;

export interface TextConfig extends LayerConfig {
  /** Rows of the embedding table; row 0 is "nothing". */
  buckets: number;
  embedding: number;
  width: number;
}

/** Bucket ids [B, words, features] -> tokens [B, words, width]: the mean embedding of a word's features, projected. */
export class TextTokens extends AllulookLayer {
  static className = "AllulookTextTokens";
  readonly #config: TextConfig;
  #weights: tf.LayerVariable[] = [];

  constructor(config: TextConfig) {
    super(config);
    this.#config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { buckets, embedding, width } = this.#config;
    return { buckets, embedding, width };
  }

  override build(shape: Shape | Shape[]): void {
    const { buckets, embedding, width } = this.#config;
    this.#weights = [
      this.weight("embedding", [buckets, embedding]),
      this.weight("linearKernel", [embedding, width]),
      this.weight("bias", [width]),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, words] = inputShapes(shape)[0] as Shape;
    return [batch ?? null, words ?? null, this.#config.width];
  }

  protected override forward([ids]: tf.Tensor[]): tf.Tensor {
    const [batch, words, features] = (ids as tf.Tensor3D).shape;
    const { embedding, width } = this.#config;
    const [table, kernel, bias] = this.#weights.map((weight) => read(weight));
    const flat = tf.reshape(tf.cast(ids as tf.Tensor, "int32"), [batch * words * features]) as tf.Tensor1D;
    const present = tf.reshape(tf.cast(tf.minimum(flat, tf.scalar(1, "int32")), "float32"), [
      batch * words,
      features,
      1,
    ]);
    const rows = tf.reshape(tf.gather(table as tf.Tensor2D, flat), [batch * words, features, embedding]);
    const count = tf.maximum(tf.sum(present, 1), 1);
    const mean = tf.div(tf.sum(tf.mul(rows, present), 1), count) as tf.Tensor2D;
    const tokens = dense(mean, kernel as tf.Tensor2D, bias as tf.Tensor1D, false);
    return tf.reshape(tokens, [batch, words, width]);
  }
}
tf.serialization.registerClass(TextTokens);

/** Bucket ids [B, words, features] -> 1 where there is a word, [B, words]. */
export class WordMask extends AllulookLayer {
  static className = "AllulookWordMask";

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, words] = inputShapes(shape)[0] as Shape;
    return [batch ?? null, words ?? null];
  }

  protected override forward([ids]: tf.Tensor[]): tf.Tensor {
    const [batch, words] = (ids as tf.Tensor3D).shape;
    // A word's first feature is the word itself and never 0.
    const first = tf.slice(ids as tf.Tensor3D, [0, 0, 0], [batch, words, 1]);
    return tf.reshape(tf.cast(tf.minimum(tf.cast(first, "int32"), tf.scalar(1, "int32")), "float32"), [batch, words]);
  }
}
tf.serialization.registerClass(WordMask);

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
    const [batch, tokens, width] = (visual as tf.Tensor3D).shape;
    const others = (other as tf.Tensor3D).shape[1];
    const w = this.#weights.map((weight) => read(weight));
    const vector = (i: number) => w[i] as tf.Tensor1D;
    const matrix = (i: number) => w[i] as tf.Tensor2D;
    const stream = tf.reshape(visual as tf.Tensor, [batch * tokens, width]) as tf.Tensor2D;
    const source = rmsNorm(tf.reshape(other as tf.Tensor, [batch * others, width]) as tf.Tensor2D, vector(3));
    const q = tf.reshape(dense(rmsNorm(stream, vector(0)), matrix(1), vector(2), false), [batch, tokens, width]);
    const [k, v] = tf
      .split(dense(source, matrix(4), vector(5), false), 2, 1)
      .map((part) => tf.reshape(part, [batch, others, width])) as [tf.Tensor3D, tf.Tensor3D];
    const bias = mask === undefined ? null : (tf.mul(tf.sub(mask, 1), 1e4) as tf.Tensor2D);
    const attended = attention(q as tf.Tensor3D, k, v, this.#config.heads, bias);
    const projected = tf.reshape(
      dense(tf.reshape(attended, [batch * tokens, width]) as tf.Tensor2D, matrix(6), vector(7), false),
      [batch, tokens, width],
    );
    const grouped = tf.reshape(source, [batch, others, width]);
    const mean = mask === undefined ? tf.mean(grouped, 1) : maskedMean(grouped as tf.Tensor3D, mask as tf.Tensor2D);
    const gate = tf.sigmoid(dense(mean as tf.Tensor2D, matrix(8), vector(9), false));
    const present = tf.slice(presence as tf.Tensor2D, [0, this.#config.modality], [batch, 1]);
    const gain = tf.add(tf.mul(present, tf.sub(tf.mul(gate, 2), 1)), 1);
    return tf.add(
      tf.mul(visual as tf.Tensor, tf.reshape(gain, [batch, 1, width])),
      tf.mul(projected, tf.reshape(present, [batch, 1, 1])),
    );
  }
}
tf.serialization.registerClass(CrossModalFusion);

function maskedMean(tokens: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor {
  const weights = tf.reshape(mask, [mask.shape[0], mask.shape[1], 1]);
  return tf.div(tf.sum(tf.mul(tokens, weights), 1), tf.maximum(tf.sum(weights, 1), 1));
}

export interface PresenceConfig extends LayerConfig {
  /** Column of `presence`. */
  modality: number;
}

/** A map [B, H, W, C] times its modality's presence. */
export class PresenceGate extends AllulookLayer {
  static className = "AllulookPresenceGate";
  readonly #modality: number;

  constructor(config: PresenceConfig) {
    super(config);
    this.#modality = config.modality;
  }

  protected override settings(): tf.serialization.ConfigDict {
    return { modality: this.#modality };
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return inputShapes(shape)[0] as Shape;
  }

  protected override forward([map, presence]: tf.Tensor[]): tf.Tensor {
    const batch = (presence as tf.Tensor2D).shape[0];
    const present = tf.slice(presence as tf.Tensor2D, [0, this.#modality], [batch, 1]);
    return tf.mul(map as tf.Tensor, tf.reshape(present, [batch, 1, 1, 1]));
  }
}
tf.serialization.registerClass(PresenceGate);
