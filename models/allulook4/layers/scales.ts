/**
 * Moving between scales: fusion of all scales of both branches by channel attention, doubling with a lateral sum,
 * and sub-pixel output.
 */
import * as tf from "../../engine/tf.ts";
import { convolution, dense } from "../../kernels/linear.ts";
import { averageBlocks, repeatPixels } from "../../kernels/resample.ts";
import { AllulookLayer, inputShapes, type LayerConfig, read, type Shape } from "./layer.ts";

export interface ScaleFusionConfig extends LayerConfig {
  filters: number;
  /** Strides of the inputs, in order, and of the output. */
  strides: number[];
  stride: number;
}

/**
 * Brings maps of several strides to one, weights every channel of every scale by an attention computed from all of
 * them (squeeze and excitation, Hu et al. 2018), and mixes them into `filters` channels.
 */
export class ScaleFusion extends AllulookLayer {
  static className = "AllulookScaleFusion";
  readonly #config: ScaleFusionConfig;
  #weights: tf.LayerVariable[] = [];

  constructor(config: ScaleFusionConfig) {
    super(config);
    this.#config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { filters, strides, stride } = this.#config;
    return { filters, strides, stride };
  }

  override build(shape: Shape | Shape[]): void {
    const channels = inputShapes(shape).reduce((sum, input) => sum + (input.at(-1) as number), 0);
    const squeezed = Math.max(8, Math.round(channels / 8));
    this.#weights = [
      this.weight("squeezeKernel", [channels, squeezed]),
      this.weight("squeezeBias", [squeezed]),
      this.weight("exciteLinearKernel", [squeezed, channels]),
      this.weight("exciteBias", [channels]),
      this.weight("mixLinearKernel", [1, 1, channels, this.#config.filters]),
      this.weight("mixBias", [this.#config.filters]),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const { strides, stride, filters } = this.#config;
    const [batch, height, width] = inputShapes(shape)[strides.indexOf(stride)] as Shape;
    return [batch ?? null, height ?? null, width ?? null, filters];
  }

  protected override forward(inputs: tf.Tensor[]): tf.Tensor {
    const { strides, stride } = this.#config;
    const maps = inputs.map((input, i) => {
      const map = input as tf.Tensor4D;
      const from = strides[i] as number;
      return from <= stride ? averageBlocks(map, stride / from) : repeatPixels(map, from / stride);
    });
    const all = tf.concat(maps, 3);
    const [squeeze, squeezeBias, excite, exciteBias, mix, mixBias] = this.#weights.map((w) => read(w));
    const summary = tf.mean(all, [1, 2]) as tf.Tensor2D;
    const hidden = dense(summary, squeeze as tf.Tensor2D, squeezeBias as tf.Tensor1D, true);
    // Twice the sigmoid: attention starts near one, so that no scale is dimmed before anything is learned.
    const weights = tf.mul(tf.sigmoid(dense(hidden, excite as tf.Tensor2D, exciteBias as tf.Tensor1D, false)), 2);
    const weighted = tf.mul(all, tf.reshape(weights, [weights.shape[0] as number, 1, 1, weights.shape[1] as number]));
    return convolution(weighted as tf.Tensor4D, mix as tf.Tensor4D, mixBias as tf.Tensor1D, {
      stride: 1,
      relu: false,
    });
  }
}
tf.serialization.registerClass(ScaleFusion);

/** Doubles its first input and adds the others: the step up of the decoder. */
export class UpsampleAdd extends AllulookLayer {
  static className = "AllulookUpsampleAdd";

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, height, width, channels] = inputShapes(shape)[0] as Shape;
    const doubled = (side: number | null | undefined) => (side === null || side === undefined ? null : side * 2);
    return [batch ?? null, doubled(height), doubled(width), channels ?? null];
  }

  protected override forward([low, ...laterals]: tf.Tensor[]): tf.Tensor {
    let sum = repeatPixels(low as tf.Tensor4D, 2);
    for (const lateral of laterals) sum = tf.add(sum, lateral);
    return sum;
  }
}
tf.serialization.registerClass(UpsampleAdd);

export interface SubPixelConfig extends LayerConfig {
  factor: number;
}

/** [B, H, W, f * f * C] -> [B, f * H, f * W, C]: detail from channels (Shi et al. 2016). */
export class SubPixel extends AllulookLayer {
  static className = "AllulookSubPixel";
  readonly #factor: number;

  constructor(config: SubPixelConfig) {
    super(config);
    this.#factor = config.factor;
  }

  protected override settings(): tf.serialization.ConfigDict {
    return { factor: this.#factor };
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, height, width, channels] = inputShapes(shape)[0] as Shape;
    const grown = (side: number | null | undefined) =>
      side === null || side === undefined ? null : side * this.#factor;
    return [batch ?? null, grown(height), grown(width), (channels as number) / this.#factor ** 2];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [batch, height, width, channels] = (x as tf.Tensor4D).shape;
    const f = this.#factor;
    const classes = channels / (f * f);
    // Rank 5 with rows of blocks kept together: transposes of rank 6 have no gradient everywhere.
    const cells = tf.reshape(x as tf.Tensor4D, [batch * height, width, f, f * classes]);
    const rows = tf.transpose(cells, [0, 2, 1, 3]);
    return tf.reshape(rows, [batch, height * f, width * f, classes]);
  }
}
tf.serialization.registerClass(SubPixel);
