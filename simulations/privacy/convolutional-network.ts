/**
 * A small convolutional network (the LeNet of Zhu et al. 2019, "Deep leakage from gradients") and its inversion by search
 * (Geiping et al. 2020, "Inverting gradients"): a picture is changed until its own gradient points where the update does.
 * Convolutions are written as products of patches and kernels, whose gradients can be differentiated again.
 */
import { setImmediate as pause } from "node:timers/promises";
import * as tf from "../../models/engine/tf.ts";
import { layoutOf, tensorValues } from "../../shared/params/layout.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { CLASSES, RATE, type AttackedNetwork } from "./attacked-network.ts";

const KERNEL = 5;
const FILTERS = 12;
const STRIDES = [2, 2, 1] as const;
/** Steps of the search. */
const STEPS = 1500;
/** First rate of the search. */
const SEARCH_RATE = 0.03;
/** What total variation counts for. */
const SMOOTHNESS = 1e-4;

interface Layer {
  /** Of each output place, the inputs under its kernel; the place behind the last input is an empty border. */
  readonly patches: Int32Array;
  readonly places: number;
  readonly inputs: number;
}

/** Of square RGB pictures. Needs a loaded engine. */
export function convolutionalNetwork(side: number, seed: number, steps = STEPS): AttackedNetwork {
  const layers: Layer[] = [];
  let [width, channels] = [side, 3];
  for (const stride of STRIDES) {
    layers.push(layer(width, channels, stride));
    [width, channels] = [Math.ceil(width / stride), FILTERS];
  }
  const features = width * width * FILTERS;
  const shapes = [
    ...layers.flatMap(({ inputs }) => [[KERNEL * KERNEL * inputs, FILTERS], [FILTERS]]),
    [features, CLASSES],
    [CLASSES],
  ];
  const params = layoutOf(shapes.map((shape, i) => ({ name: `${i}`, shape })));
  const rng = Rng.of(seed, "convolutional-inversion");
  // Wide, as by Zhu et al.: in the straight part of the sigmoid alone, all pictures have much the same gradient.
  const initial = Float32Array.from({ length: params.length }, () => rng.uniform() - 0.5);
  const tensorsOf = (values: Float32Array) =>
    params.tensors.map((slot) => tf.tensor(tensorValues(values, slot), slot.shape as number[]));

  const lossOf = (picture: tf.Tensor, weights: readonly tf.Tensor[], label: number): tf.Scalar => {
    let x = picture;
    layers.forEach(({ patches, places, inputs }, i) => {
      const bordered = tf.concat([x.reshape([-1]), tf.zeros([1])]);
      const seen = tf.gather(bordered, tf.tensor1d(patches, "int32")).reshape([places, KERNEL * KERNEL * inputs]);
      x = sigmoid(
        tf.add(tf.matMul(seen as tf.Tensor2D, weights[2 * i] as tf.Tensor2D), weights[2 * i + 1] as tf.Tensor),
      );
    });
    const logits = tf.add(
      tf.matMul(x.reshape([1, features]) as tf.Tensor2D, weights.at(-2) as tf.Tensor2D),
      weights.at(-1) as tf.Tensor,
    );
    const right = tf.sum(tf.mul(logits, tf.oneHot([label], CLASSES)));
    return tf.sub(tf.log(tf.sum(exponential(logits))), right) as tf.Scalar;
  };
  const gradientsOf = (picture: tf.Tensor, weights: tf.Tensor[], label: number): tf.Tensor[] =>
    tf.grads((...own) => lossOf(picture, own, label))(weights);

  return {
    params,
    step: (picture, label) =>
      tf.tidy(() => {
        const gradients = gradientsOf(tf.tensor1d(picture), tensorsOf(initial), label);
        return tf
          .concat(gradients.map((one) => one.reshape([-1])))
          .mul(-RATE)
          .dataSync<"float32">()
          .slice();
      }),
    async invert(delta, signal) {
      const size = side * side * 3;
      const label = labelOf(delta);
      const weights = tf.tidy(() => tensorsOf(initial));
      const wanted = tf.tidy(() => tensorsOf(delta.map((value) => -value / RATE)));
      const distance = (picture: tf.Tensor) => {
        const found = gradientsOf(picture, weights, label);
        return tf.add(unlikeness(found, wanted), tf.mul(SMOOTHNESS, variation(picture.reshape([side, side, 3]))));
      };
      const search = new BoundedAdam(new Float32Array(size).fill(0.5));
      try {
        for (let step = 0; step < steps; step++) {
          if (step % 25 === 0) await pause(undefined, { signal });
          const gradient = tf.tidy(() =>
            tf
              .grad((x) => distance(x))(tf.tensor1d(search.values))
              .dataSync<"float32">(),
          );
          search.apply(gradient, (SEARCH_RATE * (1 + Math.cos((Math.PI * step) / steps))) / 2);
        }
        return search.values;
      } finally {
        tf.dispose([weights, wanted]);
      }
    },
  };
}

function layer(width: number, inputs: number, stride: number): Layer {
  const out = Math.ceil(width / stride);
  const patches = new Int32Array(out * out * KERNEL * KERNEL * inputs);
  const half = (KERNEL - 1) / 2;
  let at = 0;
  for (let place = 0; place < out * out; place++) {
    for (let cell = 0; cell < KERNEL * KERNEL; cell++) {
      const y = Math.floor(place / out) * stride + Math.floor(cell / KERNEL) - half;
      const x = (place % out) * stride + (cell % KERNEL) - half;
      const inside = y >= 0 && y < width && x >= 0 && x < width;
      for (let c = 0; c < inputs; c++) patches[at++] = inside ? (y * width + x) * inputs + c : width * width * inputs;
    }
  }
  return { patches, places: out * out, inputs };
}

/**
 * Functions whose derivatives are computed from their input: the library's own are computed from their output, which it
 * forgets depends on the input when a gradient is differentiated again.
 */
function again(
  value: (x: tf.Tensor) => tf.Tensor,
  derivative: (x: tf.Tensor) => tf.Tensor,
): (x: tf.Tensor) => tf.Tensor {
  return tf.customGrad((input, save) => {
    const x = input as tf.Tensor;
    (save as tf.GradSaveFunc)([x]);
    return { value: value(x), gradFunc: (dy, [saved]) => tf.mul(dy, derivative(saved as tf.Tensor)) };
  });
}

const exponential = again(tf.exp, (x) => exponential(x));
const sigmoid = again(tf.sigmoid, (x) => tf.mul(sigmoid(x), tf.sub(1, sigmoid(x))));

/** The one class whose bias rises: Zhao et al. 2020, "iDLG". */
function labelOf(delta: Float32Array): number {
  const biases = delta.subarray(delta.length - CLASSES);
  return biases.indexOf(Math.max(...biases));
}

/** 1 - cosine of the angle between two gradients, the mean over their tensors: small ones, which see the picture, count as well. */
function unlikeness(found: readonly tf.Tensor[], wanted: readonly tf.Tensor[]): tf.Tensor {
  const dot = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(a, b));
  const cosines = found.map((one, i) => {
    const other = wanted[i] as tf.Tensor;
    return tf.div(dot(one, other), tf.sqrt(tf.mul(dot(one, one), dot(other, other))));
  });
  return tf.sub(1, tf.mean(tf.stack(cosines)));
}

/** Mean absolute difference of neighbouring pixels. */
function variation(picture: tf.Tensor): tf.Scalar {
  const [height, width] = picture.shape as [number, number, number];
  const across = tf.sub(
    picture.slice([0, 1, 0], [height, width - 1, 3]),
    picture.slice([0, 0, 0], [height, width - 1, 3]),
  );
  const down = tf.sub(
    picture.slice([1, 0, 0], [height - 1, width, 3]),
    picture.slice([0, 0, 0], [height - 1, width, 3]),
  );
  return tf.add(tf.mean(tf.abs(across)), tf.mean(tf.abs(down))) as tf.Scalar;
}

/** Adam (Kingma, Ba 2015); values stay in [0, 1]. */
class BoundedAdam {
  readonly #first: Float32Array;
  readonly #second: Float32Array;
  readonly values: Float32Array;
  #step = 0;

  constructor(values: Float32Array) {
    this.values = values;
    this.#first = new Float32Array(values.length);
    this.#second = new Float32Array(values.length);
  }

  apply(gradient: Float32Array, rate: number): void {
    this.#step++;
    const [beta1, beta2] = [0.9, 0.999];
    const [bias1, bias2] = [1 - beta1 ** this.#step, 1 - beta2 ** this.#step];
    for (let i = 0; i < this.values.length; i++) {
      const slope = gradient[i] as number;
      const m = beta1 * (this.#first[i] as number) + (1 - beta1) * slope;
      const v = beta2 * (this.#second[i] as number) + (1 - beta2) * slope * slope;
      this.#first[i] = m;
      this.#second[i] = v;
      const value = (this.values[i] as number) - (rate * m) / bias1 / (Math.sqrt(v / bias2) + 1e-12);
      this.values[i] = Math.min(1, Math.max(0, value));
    }
  }
}
