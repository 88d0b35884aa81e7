/**
 * Text tokens, and the gate of a map by its modality's presence (0 or 1 per sample), so that without the modality the
 * visual path is what it would be alone.
 */
import * as tf from "../../engine/tf.ts";
import { rowsOf } from "../../kernels/embedding.ts";
import { dense } from "../../kernels/linear.ts";
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
    const rows = tf.reshape(rowsOf(table as tf.Tensor2D, flat), [batch * words, features, embedding]);
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
