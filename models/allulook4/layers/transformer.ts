/** The transformer on the flattened fused map: position embedding and encoder layers (Vaswani et al. 2017). */
import * as tf from "../../engine/tf.ts";
import { attentionPass, attentionWeights } from "../../kernels/attention.ts";
import { differentiable, forget, type Keep, type Pass, sequence } from "../../kernels/differentiable.ts";
import { densePass } from "../../kernels/linear.ts";
import { kernels } from "../../kernels/loaded.ts";
import { tokenNormPass } from "../../kernels/norm.ts";
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
    const input = x as tf.Tensor3D;
    const [batch, tokens, width] = input.shape;
    const { heads } = this.#config;
    const w = this.#weights.map((weight) => read(weight));
    const weight = (i: number) => w[i] as tf.Tensor;
    return differentiable([input, ...w], (keep) => {
      const k = kernels();
      const dense = (i: number, relu: boolean) => (y: tf.Tensor) =>
        densePass(keep, y, weight(i), weight(i + 1), relu) as Pass;
      const stream = k.reshape(input, [batch * tokens, width]);
      const attend = residual(
        keep,
        stream,
        weight(0),
        dense(1, false),
        (y) => selfAttentionPass(keep, y, [batch, tokens, heads, width / heads]),
        dense(3, false),
      );
      const feed = residual(keep, attend.y, weight(5), dense(6, true), dense(8, false));
      return {
        y: k.reshape(feed.y, input.shape),
        back(dy) {
          const [middle, ...feedWeights] = feed.back(k.reshape(dy, stream.shape)) as [tf.Tensor, ...tf.Tensor[]];
          const [first, ...attendWeights] = attend.back(middle) as [tf.Tensor, ...tf.Tensor[]];
          return [k.reshape(first, input.shape), ...attendWeights, ...feedWeights];
        },
      };
    });
  }

  /** What every token attends to, given the layer's input [B, T, D]. @returns [B, heads, T, T], rows sum to 1 */
  attention(x: tf.Tensor): tf.Tensor {
    const [batch, tokens, width] = (x as tf.Tensor3D).shape;
    const { heads } = this.#config;
    return tf.tidy(() => {
      const [scale, kernel, bias] = this.#weights.map((weight) => read(weight)) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const norm = tokenNormPass(forget, kernels().reshape(x, [batch * tokens, width]), scale);
      const projected = densePass(forget, norm.y, kernel, bias, false);
      const [queries, keys] = headsApart(projected.y, [batch, tokens, heads, width / heads]);
      return attentionWeights(queries, keys, null);
    });
  }
}
tf.serialization.registerClass(EncoderLayer);

/** y = x + passes(rmsNorm(x)); gradients of x, of the norm's scale, then of the passes' own inputs. */
function residual(keep: Keep, x: tf.Tensor, scale: tf.Tensor, ...passes: readonly ((x: tf.Tensor) => Pass)[]): Pass {
  const norm = tokenNormPass(keep, x, scale);
  const body = sequence(norm.y, ...passes);
  return {
    y: kernels().add(x, body.y),
    back(dy) {
      const [inner, ...weights] = body.back(dy) as [tf.Tensor, ...tf.Tensor[]];
      return [...norm.back(inner, dy), ...weights];
    },
  };
}

/** [B * T, 3 * heads * d], queries, keys and values side by side -> attended [B * T, heads * d]. */
function selfAttentionPass(keep: Keep, projected: tf.Tensor, shape: Heads): Pass {
  const k = kernels();
  const [b, t, h, d] = shape;
  const [queries, keys, values] = headsApart(projected, shape);
  const { y, back } = attentionPass(keep, queries, keys, values, null);
  return {
    y: k.reshape(k.transpose(y, [0, 2, 1, 3]), [b * t, h * d]),
    back(dy) {
      const heads4 = k.transpose(k.reshape(dy, [b, t, h, d]), [0, 2, 1, 3]);
      return [k.reshape(k.transpose(k.stack(back(heads4)), [1, 3, 0, 2, 4]), projected.shape)];
    },
  };
}

type Heads = readonly [batch: number, tokens: number, heads: number, width: number];

/** Queries, keys and values, [B, heads, T, d] each. */
function headsApart(projected: tf.Tensor, [b, t, h, d]: Heads): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const k = kernels();
  const apart = k.transpose(k.reshape(projected, [b, t, 3, h, d]), [2, 0, 3, 1, 4]);
  return k.unstack(apart, 3) as [tf.Tensor, tf.Tensor, tf.Tensor];
}
