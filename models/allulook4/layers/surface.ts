/**
 * A learned quadratic surface over the picture, added to a map. Much of the depth of a scene is where in the picture one
 * looks (a floor, a slope, a tube); with five weights the depth head has that from the first steps, at any size.
 */
import * as tf from "../../engine/tf.ts";
import { differentiable } from "../../kernels/differentiable.ts";
import { exampleGradients } from "../../kernels/examples.ts";
import { kernels } from "../../kernels/loaded.ts";
import { AllulookLayer, inputShapes, read, type Shape } from "./layer.ts";

/** x, y, x^2, y^2 and xy, in [-1, 1] over the map. */
const TERMS = 5;
/** Lets a weight that moves with the learning rate of all others cover a deviation or two within a few dozen steps. */
const GAIN = 4;

/** [B, h, w, 1] -> [B, h, w, 1] */
export class Surface extends AllulookLayer {
  static className = "AllulookSurface";
  #surface: tf.LayerVariable | null = null;

  protected override settings(): tf.serialization.ConfigDict {
    return {};
  }

  override build(shape: Shape | Shape[]): void {
    this.#surface = this.weight("surfaceBias", [TERMS]);
    super.build(shape);
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return inputShapes(shape)[0] as Shape;
  }

  protected override forward([x]: tf.Tensor[]): tf.Tensor {
    const map = x as tf.Tensor4D;
    const [, height, width] = map.shape;
    const surface = read<tf.Tensor1D>(this.#surface);
    const over = (weights: tf.Tensor1D) =>
      tf.reshape(tf.matMul(basis(height, width), tf.reshape(weights, [TERMS, 1])), [1, height, width, 1]);
    const apart = exampleGradients();
    if (apart === null) return tf.add(map, over(surface));
    return differentiable([map, surface], () => ({
      y: tf.add(map, over(surface)),
      back(dy) {
        const k = kernels();
        const slopes = k.reshape(dy, [apart.examples, height * width]);
        return [dy, apart.add(surface, k.matMul(slopes, basis(height, width), false, false))];
      },
    }));
  }
}
tf.serialization.registerClass(Surface);

const bases = new Map<string, Float32Array>();

/** [h * w, TERMS]; computed once per size. */
function basis(height: number, width: number): tf.Tensor2D {
  const key = `${height},${width}`;
  const known = bases.get(key) ?? basisValues(height, width);
  bases.set(key, known);
  return tf.tensor2d(known, [height * width, TERMS]);
}

function basisValues(height: number, width: number): Float32Array {
  const values = new Float32Array(height * width * TERMS);
  for (let row = 0, at = 0; row < height; row++) {
    const y = ((2 * row + 1) / height - 1) * GAIN;
    for (let column = 0; column < width; column++, at += TERMS) {
      const x = ((2 * column + 1) / width - 1) * GAIN;
      values.set([x, y, (x * x) / GAIN, (y * y) / GAIN, (x * y) / GAIN], at);
    }
  }
  return values;
}
