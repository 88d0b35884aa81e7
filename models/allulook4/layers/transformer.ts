/** The transformer on the flattened fused map: position embedding and encoder layers (Vaswani et al. 2017). */
import * as tf from "../../engine/tf.ts";
import { attention } from "../../kernels/attention.ts";
import { dense } from "../../kernels/linear.ts";
import { rmsNorm } from "../../kernels/norm.ts";
import { AllulookLayer, inputShapes, type LayerConfig, read, type Shape } from "./layer.ts";

/**
 * Sinusoidal position embedding in two dimensions: half of the channels encode the row, half the column, each with
 * sines and cosines of wavelengths from 2 pi to 10000 * 2 pi tokens. Not learned, so any map size works.
 *
 * @returns [height * width, channels], row-major
 */
export function positionEmbedding(height: number, width: number, channels: number): Float32Array {
  const frequencies = channels / 4;
  const out = new Float32Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const start = (y * width + x) * channels;
      for (let i = 0; i < frequencies; i++) {
        const rate = 10000 ** (-i / frequencies);
        out[start + i] = Math.sin(y * rate);
        out[start + frequencies + i] = Math.cos(y * rate);
        out[start + 2 * frequencies + i] = Math.sin(x * rate);
        out[start + 3 * frequencies + i] = Math.cos(x * rate);
      }
    }
  }
  return out;
}

const embeddings = new Map<string, Float32Array>();

/** As {@link positionEmbedding}, computed once per size: a process sees few sizes. */
function cachedEmbedding(height: number, width: number, channels: number): Float32Array {
  const key = `${height},${width},${channels}`;
  const known = embeddings.get(key) ?? positionEmbedding(height, width, channels);
  embeddings.set(key, known);
  return known;
}

/** [B, H, W, D] -> [B, H * W, D], with positions added. */
export class Tokens extends AllulookLayer {
  static className = "AllulookTokens";

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, height, width, channels] = inputShapes(shape)[0] as Shape;
    const known = typeof height === "number" && typeof width === "number";
    return [batch ?? null, known ? height * width : null, channels ?? null];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [batch, height, width, channels] = (x as tf.Tensor4D).shape;
    const positions = tf.tensor3d(cachedEmbedding(height, width, channels), [1, height * width, channels]);
    return tf.add(tf.reshape(x as tf.Tensor4D, [batch, height * width, channels]), positions);
  }
}
tf.serialization.registerClass(Tokens);

/** [B, T, D] back to the map that its second input, [B, H, W, *], has the size of. */
export class TokensToMap extends AllulookLayer {
  static className = "AllulookTokensToMap";

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [tokens, map] = inputShapes(shape) as [Shape, Shape];
    return [map[0] ?? null, map[1] ?? null, map[2] ?? null, tokens[2] ?? null];
  }

  protected override forward([tokens, map]: tf.Tensor[]): tf.Tensor {
    const [batch, height, width] = (map as tf.Tensor4D).shape;
    return tf.reshape(tokens as tf.Tensor, [batch, height, width, (tokens as tf.Tensor3D).shape[2]]);
  }
}
tf.serialization.registerClass(TokensToMap);

export interface EncoderConfig extends LayerConfig {
  heads: number;
  feedForward: number;
}

/** Self-attention, then feed-forward with ReLU, each normalised before and added to its input. */
export class EncoderLayer extends AllulookLayer {
  static className = "AllulookEncoderLayer";
  readonly #config: EncoderConfig;
  #weights: tf.LayerVariable[] = [];

  constructor(config: EncoderConfig) {
    super(config);
    this.#config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { heads, feedForward } = this.#config;
    return { heads, feedForward };
  }

  override build(shape: Shape | Shape[]): void {
    const width = inputShapes(shape)[0]?.at(-1) as number;
    const { feedForward } = this.#config;
    this.#weights = [
      this.weight("attentionScale", [width]),
      this.weight("queryKeyValueLinearKernel", [width, 3 * width]),
      this.weight("queryKeyValueBias", [3 * width]),
      this.weight("projectionOutKernel", [width, width]),
      this.weight("projectionBias", [width]),
      this.weight("feedForwardScale", [width]),
      this.weight("expandKernel", [width, feedForward]),
      this.weight("expandBias", [feedForward]),
      this.weight("contractOutKernel", [feedForward, width]),
      this.weight("contractBias", [width]),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return inputShapes(shape)[0] as Shape;
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [batch, tokens, width] = (x as tf.Tensor3D).shape;
    const w = this.#weights.map((weight) => read(weight));
    const vector = (i: number) => w[i] as tf.Tensor1D;
    const matrix = (i: number) => w[i] as tf.Tensor2D;
    let stream = tf.reshape(x as tf.Tensor, [batch * tokens, width]) as tf.Tensor2D;
    const projected = dense(rmsNorm(stream, vector(0)), matrix(1), vector(2), false);
    const [q, k, v] = tf.split(projected, 3, 1).map((part) => tf.reshape(part, [batch, tokens, width])) as [
      tf.Tensor3D,
      tf.Tensor3D,
      tf.Tensor3D,
    ];
    const attended = tf.reshape(attention(q, k, v, this.#config.heads, null), [batch * tokens, width]);
    stream = tf.add(stream, dense(attended as tf.Tensor2D, matrix(3), vector(4), false));
    const hidden = dense(rmsNorm(stream, vector(5)), matrix(6), vector(7), true);
    stream = tf.add(stream, dense(hidden, matrix(8), vector(9), false));
    return tf.reshape(stream, [batch, tokens, width]);
  }
}
tf.serialization.registerClass(EncoderLayer);
