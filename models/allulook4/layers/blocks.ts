/**
 * The blocks of the two branches. Deep: residual bottleneck (He et al. 2016), normalised once, before the block.
 * Light: depthwise-separable convolution with a residual connection (Howard et al. 2017; Sandler et al. 2018).
 */
import * as tf from "../../engine/tf.ts";
import { differentiable, type Keep, type Pass, sequence } from "../../kernels/differentiable.ts";
import { convolutionPass } from "../../kernels/linear.ts";
import { kernels } from "../../kernels/loaded.ts";
import { groupNormPass } from "../../kernels/norm.ts";
import { averagePass } from "../../kernels/resample.ts";
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

type Four = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
type Six = [...Four, tf.Tensor, tf.Tensor];

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
    const { stride, groupSize } = this.config;
    const scale = read(this.#scale);
    const body = this.body.map((weight) => read(weight));
    const change = this.#shortcut === null ? [] : [read(this.#shortcut)];
    return differentiable([input, scale, ...body, ...change], (keep) => {
      const k = kernels();
      const norm = groupNormPass(keep, input, scale, groupsOf(input.shape[3], groupSize));
      const main = this.bodyPass(keep, norm.y, body);
      const shortcut = sequence(
        input,
        ...(stride === 1 ? [] : [(map: tf.Tensor) => averagePass(map, stride)]),
        ...change.map((kernel) => (map: tf.Tensor) => convolutionPass(keep, map, kernel, null, LINEAR)),
      );
      return {
        y: k.add(shortcut.y, main.y),
        back(dy) {
          const [inner, ...weights] = main.back(dy) as [tf.Tensor, ...tf.Tensor[]];
          const [outer, ...kernel] = shortcut.back(dy);
          return [...norm.back(inner, outer), ...weights, ...kernel];
        },
      };
    });
  }

  protected abstract body: readonly tf.LayerVariable[];
  protected abstract buildBody(channels: number): void;
  /** What the block adds to its input; gradients of x and of the weights of `body`. */
  protected abstract bodyPass(keep: Keep, x: tf.Tensor, weights: readonly tf.Tensor[]): Pass;
}

export class BottleneckBlock extends ResidualBlock {
  static className = "AllulookBottleneckBlock";
  protected override body: tf.LayerVariable[] = [];

  protected override buildBody(channels: number): void {
    const { filters } = this.config;
    const narrow = Math.max(8, Math.round(filters / 2));
    this.body = [
      this.weight("reduceKernel", [1, 1, channels, narrow]),
      this.weight("reduceBias", [narrow]),
      this.weight("spatialKernel", [3, 3, narrow, narrow]),
      this.weight("spatialBias", [narrow]),
      this.weight("expandOutKernel", [1, 1, narrow, filters]),
      this.weight("expandBias", [filters]),
    ];
  }

  protected override bodyPass(keep: Keep, x: tf.Tensor, weights: readonly tf.Tensor[]): Pass {
    const [reduce, reduceBias, spatial, spatialBias, expand, expandBias] = weights as Six;
    return sequence(
      x,
      (map) => convolutionPass(keep, map, reduce, reduceBias, RELU),
      (map) => convolutionPass(keep, map, spatial, spatialBias, { stride: this.config.stride, relu: true }),
      (map) => convolutionPass(keep, map, expand, expandBias, LINEAR),
    );
  }
}
tf.serialization.registerClass(BottleneckBlock);

export class SeparableBlock extends ResidualBlock {
  static className = "AllulookSeparableBlock";
  protected override body: tf.LayerVariable[] = [];

  protected override buildBody(channels: number): void {
    const { filters } = this.config;
    this.body = [
      this.weight("depthwiseKernel", [3, 3, channels, 1]),
      this.weight("depthwiseBias", [channels]),
      this.weight("pointwiseOutKernel", [1, 1, channels, filters]),
      this.weight("pointwiseBias", [filters]),
    ];
  }

  protected override bodyPass(keep: Keep, x: tf.Tensor, weights: readonly tf.Tensor[]): Pass {
    const [depthwise, depthwiseBias, pointwise, pointwiseBias] = weights as Four;
    const { stride } = this.config;
    return sequence(
      x,
      (map) => convolutionPass(keep, map, depthwise, depthwiseBias, { stride, relu: true, depthwise: true }),
      (map) => convolutionPass(keep, map, pointwise, pointwiseBias, LINEAR),
    );
  }
}
tf.serialization.registerClass(SeparableBlock);
