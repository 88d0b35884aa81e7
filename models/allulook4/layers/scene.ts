/** The scene head's parts: the mean token, normalised, and linear maps. */
import * as tf from "../../engine/tf.ts";
import { dense } from "../../kernels/linear.ts";
import { rmsNorm } from "../../kernels/norm.ts";
import { AllulookLayer, inputShapes, type LayerConfig, read, type Shape } from "./layer.ts";

/** [B, T, D] -> [B, D] */
export class GlobalMean extends AllulookLayer {
  static className = "AllulookGlobalMean";

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, , channels] = inputShapes(shape)[0] as Shape;
    return [batch ?? null, channels ?? null];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    return tf.mean(x as tf.Tensor3D, 1);
  }
}
tf.serialization.registerClass(GlobalMean);

export interface LinearConfig extends LayerConfig {
  units: number;
  /** A hidden layer: input normalised, output through ReLU. */
  relu: boolean;
}

export class Linear extends AllulookLayer {
  static className = "AllulookLinear";
  readonly #config: LinearConfig;
  #weights: tf.LayerVariable[] = [];

  constructor(config: LinearConfig) {
    super(config);
    this.#config = config;
  }

  protected override settings(): tf.serialization.ConfigDict {
    const { units, relu } = this.#config;
    return { units, relu };
  }

  override build(shape: Shape | Shape[]): void {
    const channels = inputShapes(shape)[0]?.at(-1) as number;
    const { units, relu } = this.#config;
    this.#weights = [
      this.weight(relu ? "kernel" : "linearKernel", [channels, units]),
      this.weight("bias", [units]),
      ...(relu ? [this.weight("scale", [channels])] : []),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return [inputShapes(shape)[0]?.[0] ?? null, this.#config.units];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [kernel, bias, scale] = this.#weights.map((weight) => read(weight));
    const input = scale === undefined ? (x as tf.Tensor2D) : rmsNorm(x as tf.Tensor2D, scale as tf.Tensor1D);
    return dense(input, kernel as tf.Tensor2D, bias as tf.Tensor1D, this.#config.relu);
  }
}
tf.serialization.registerClass(Linear);
