/**
 * The blocks of the two branches. Deep: residual bottleneck (He et al. 2016), normalised once, before the block.
 * Light: depthwise-separable convolution with a residual connection (Howard et al. 2017; Sandler et al. 2018).
 */
import * as tf from "../../engine/tf.ts";
import { convolution } from "../../kernels/linear.ts";
import { rmsGroupNorm } from "../../kernels/norm.ts";
import { averageBlocks } from "../../kernels/resample.ts";
import { AllulookLayer, groupsOf, inputShapes, type LayerConfig, read, type Shape, strided } from "./layer.ts";

interface BlockConfig extends LayerConfig {
  filters: number;
  /** 1, or 2 to halve the map. */
  stride: number;
  /** Channels of one normalisation group. */
  groupSize: number;
}

const LINEAR = { stride: 1, relu: false } as const;
const RELU = { stride: 1, relu: true } as const;

abstract class ResidualBlock extends AllulookLayer {
  protected readonly config: BlockConfig;
  #scale: tf.LayerVariable | null = null;
  #shortcut: tf.LayerVariable | null = null;

  constructor(config: BlockConfig) {
    super(config);
    this.config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { filters, stride, groupSize } = this.config;
    return { filters, stride, groupSize };
  }

  override build(shape: Shape | Shape[]): void {
    const channels = inputShapes(shape)[0]?.at(-1) as number;
    this.#scale = this.weight("scale", [channels]);
    this.buildBody(channels);
    if (channels !== this.config.filters) {
      this.#shortcut = this.weight("shortcutLinearKernel", [1, 1, channels, this.config.filters]);
    }
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, height, width] = inputShapes(shape)[0] as Shape;
    const { stride, filters } = this.config;
    return [batch ?? null, strided(height, stride), strided(width, stride), filters];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const input = x as tf.Tensor4D;
    const groups = groupsOf(input.shape[3], this.config.groupSize);
    const body = this.body(rmsGroupNorm(input, read(this.#scale), groups));
    let shortcut = averageBlocks(input, this.config.stride);
    if (this.#shortcut !== null) shortcut = convolution(shortcut, read(this.#shortcut), null, LINEAR);
    return tf.add(shortcut, body);
  }

  protected abstract buildBody(channels: number): void;
  protected abstract body(x: tf.Tensor4D): tf.Tensor4D;
}

export class BottleneckBlock extends ResidualBlock {
  static className = "AllulookBottleneckBlock";
  #weights: tf.LayerVariable[] = [];

  protected override buildBody(channels: number): void {
    const { filters } = this.config;
    const narrow = Math.max(8, Math.round(filters / 2));
    this.#weights = [
      this.weight("reduceKernel", [1, 1, channels, narrow]),
      this.weight("reduceBias", [narrow]),
      this.weight("spatialKernel", [3, 3, narrow, narrow]),
      this.weight("spatialBias", [narrow]),
      this.weight("expandOutKernel", [1, 1, narrow, filters]),
      this.weight("expandBias", [filters]),
    ];
  }

  protected override body(x: tf.Tensor4D): tf.Tensor4D {
    const [reduce, reduceBias, spatial, spatialBias, expand, expandBias] = this.#weights.map((w) => read(w)) as [
      tf.Tensor4D,
      tf.Tensor1D,
      tf.Tensor4D,
      tf.Tensor1D,
      tf.Tensor4D,
      tf.Tensor1D,
    ];
    let y = convolution(x, reduce, reduceBias, RELU);
    y = convolution(y, spatial, spatialBias, { stride: this.config.stride, relu: true });
    return convolution(y, expand, expandBias, LINEAR);
  }
}
tf.serialization.registerClass(BottleneckBlock);

export class SeparableBlock extends ResidualBlock {
  static className = "AllulookSeparableBlock";
  #weights: tf.LayerVariable[] = [];

  protected override buildBody(channels: number): void {
    const { filters } = this.config;
    this.#weights = [
      this.weight("depthwiseKernel", [3, 3, channels, 1]),
      this.weight("depthwiseBias", [channels]),
      this.weight("pointwiseOutKernel", [1, 1, channels, filters]),
      this.weight("pointwiseBias", [filters]),
    ];
  }

  protected override body(x: tf.Tensor4D): tf.Tensor4D {
    const [depthwise, depthwiseBias, pointwise, pointwiseBias] = this.#weights.map((w) => read(w)) as [
      tf.Tensor4D,
      tf.Tensor1D,
      tf.Tensor4D,
      tf.Tensor1D,
    ];
    const y = convolution(x, depthwise, depthwiseBias, { stride: this.config.stride, relu: true, depthwise: true });
    return convolution(y, pointwise, pointwiseBias, LINEAR);
  }
}
tf.serialization.registerClass(SeparableBlock);
