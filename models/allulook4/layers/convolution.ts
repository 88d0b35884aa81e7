/** Convolution with bias and optional ReLU, the piece that stems, laterals and heads are made of. */
import * as tf from "../../engine/tf.ts";
import { differentiable, sequence } from "../../kernels/differentiable.ts";
import { convolution, convolutionPass } from "../../kernels/linear.ts";
import { groupNormPass } from "../../kernels/norm.ts";
import { AllulookLayer, groupsOf, inputShapes, type LayerConfig, read, type Shape, strided } from "./layer.ts";

export interface ConvolutionConfig extends LayerConfig {
  filters: number;
  /** Side of the square kernel. */
  size: number;
  stride: number;
  relu: boolean;
  /** Channels of one group of the normalisation before the convolution; 0: none. */
  normGroup: number;
  /** True where the input is data, whose gradient no training needs. */
  onData: boolean;
  /** The bias starts at the log-odds of a rare event, as focal loss wants it (Lin et al. 2017). */
  rare: boolean;
}

export class Convolution extends AllulookLayer {
  static className = "AllulookConvolution";
  readonly #config: ConvolutionConfig;
  #scale: tf.LayerVariable | null = null;
  #kernel: tf.LayerVariable | null = null;
  #bias: tf.LayerVariable | null = null;

  constructor(config: ConvolutionConfig) {
    super(config);
    this.#config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { filters, size, stride, relu, normGroup, onData, rare } = this.#config;
    return { filters, size, stride, relu, normGroup, onData, rare };
  }

  override build(shape: Shape | Shape[]): void {
    const channels = inputShapes(shape)[0]?.at(-1) as number;
    const { filters, size, relu, normGroup, rare } = this.#config;
    if (normGroup > 0) this.#scale = this.weight("scale", [channels]);
    this.#kernel = this.weight(relu ? "kernel" : "linearKernel", [size, size, channels, filters]);
    this.#bias = this.weight(rare ? "priorBias" : "bias", [filters]);
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, height, width] = inputShapes(shape)[0] as Shape;
    const { stride, filters } = this.#config;
    return [batch ?? null, strided(height, stride), strided(width, stride), filters];
  }

  protected override forward([x]: tf.Tensor[], training: boolean): tf.Tensor {
    const input = x as tf.Tensor4D;
    const { stride, relu, normGroup, onData } = this.#config;
    const [kernel, bias] = [read<tf.Tensor4D>(this.#kernel), read<tf.Tensor1D>(this.#bias)];
    if (this.#scale === null)
      return convolution(input, kernel, bias, { stride, relu, inputGradient: !(onData && training) });
    const scale = read(this.#scale);
    return differentiable([input, scale, kernel, bias], (keep) =>
      sequence(
        input,
        (map) => groupNormPass(keep, map, scale, groupsOf(input.shape[3], normGroup)),
        (map) => convolutionPass(keep, map, kernel, bias, { stride, relu }),
      ),
    );
  }
}
tf.serialization.registerClass(Convolution);
