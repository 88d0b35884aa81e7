/**
 * The readout token of dense prediction transformers (Ranftl et al. 2021): a learned token that stands for no place
 * goes through the transformer with the others and is projected into each of them where maps are reassembled.
 */
import { AllulookLayer, inputShapes, read, type Shape } from "../allulook4/layers/layer.ts";
import * as tf from "../engine/tf.ts";

/** [B, T, D] -> [B, 1 + T, D]. */
export class ReadoutToken extends AllulookLayer {
  static className = "AllulookReadoutToken";
  #token: tf.LayerVariable | null = null;

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override build(shape: Shape | Shape[]): void {
    this.#token = this.weight("tokenBias", [inputShapes(shape)[0]?.at(-1) as number]);
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, tokens, width] = inputShapes(shape)[0] as Shape;
    return [batch ?? null, typeof tokens === "number" ? tokens + 1 : null, width ?? null];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [batch, , width] = (x as tf.Tensor3D).shape;
    const token = tf.reshape(read(this.#token), [1, 1, width]);
    return tf.concat([tf.tile(token, [batch, 1, 1]), x as tf.Tensor3D], 1);
  }
}
tf.serialization.registerClass(ReadoutToken);

/** [B, 1 + T, D] -> [B, T, D]: relu of a linear map of each token beside the readout token. */
export class ReadoutProjection extends AllulookLayer {
  static className = "AllulookReadoutProjection";
  #weights: tf.LayerVariable[] = [];

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override build(shape: Shape | Shape[]): void {
    const width = inputShapes(shape)[0]?.at(-1) as number;
    this.#weights = [
      this.weight("tokenKernel", [width, width]),
      this.weight("readoutKernel", [width, width]),
      this.weight("bias", [width]),
    ];
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, tokens, width] = inputShapes(shape)[0] as Shape;
    return [batch ?? null, typeof tokens === "number" ? tokens - 1 : null, width ?? null];
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const [batch, count, width] = (x as tf.Tensor3D).shape;
    const [tokenKernel, readoutKernel, bias] = this.#weights.map((weight) => read(weight)) as [
      tf.Tensor2D,
      tf.Tensor2D,
      tf.Tensor1D,
    ];
    const readout = tf.reshape(tf.slice(x as tf.Tensor3D, [0, 0, 0], [batch, 1, width]), [batch, width]);
    const tokens = tf.reshape(tf.slice(x as tf.Tensor3D, [0, 1, 0], [batch, count - 1, width]), [-1, width]);
    const whole = tf.add(tf.matMul(readout, readoutKernel), bias);
    const each = tf.reshape(tf.matMul(tokens, tokenKernel), [batch, count - 1, width]);
    return tf.relu(tf.add(each, tf.reshape(whole, [batch, 1, width])));
  }
}
tf.serialization.registerClass(ReadoutProjection);
