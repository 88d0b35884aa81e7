import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { adapted, adapterOf, type Factors, factorGradient } from "../../models/adapters.ts";
import { loadEngine } from "../../models/engine/node/load.ts";
import * as tf from "../../models/engine/tf.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { randomTensor } from "./check-gradient.ts";

beforeAll(async () => {
  await loadEngine();
});

const side = fc.integer({ min: 1, max: 9 });
const kernel = fc.oneof(fc.tuple(side, side), fc.tuple(side, side, side, side));

test("an adapter's factors multiply to the kernel's size and have fewer values, or there is none", () => {
  fc.assert(
    fc.property(kernel, fc.integer({ min: 1, max: 8 }), (shape, rank) => {
      const found = adapterOf(shape, rank);
      const size = shape.reduce((product, one) => product * one, 1);
      const columns = shape.at(-1) as number;
      const cost = rank * (size / columns + columns);
      if (found === null) return cost >= size;
      const { down, up } = found;
      return down[0] * up[0] === size && down[1] === rank && up[1] === rank && cost < size;
    }),
  );
});

/** W0[i, j] + scale sum_k down[i, k] up[j, k], as the paper has it. */
function plain(weights: Float32Array, down: Float32Array, up: Float32Array, sizes: number[], scale: number): number[] {
  const [rows, columns, rank] = sizes as [number, number, number];
  const out: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += (down[i * rank + k] as number) * (up[j * rank + k] as number);
      out.push((weights[i * columns + j] as number) + scale * sum);
    }
  }
  return out;
}

describe("a kernel with an adapter", () => {
  test("is what the plain sum says, whatever the kernel's shape", () => {
    fc.assert(
      fc.property(kernel, fc.integer({ min: 1, max: 5 }), fc.integer(), (shape, rank, seed) => {
        const rng = Rng.of(seed);
        const columns = shape.at(-1) as number;
        const rows = shape.slice(0, -1).reduce((product, one) => product * one, 1);
        tf.tidy(() => {
          const weights = randomTensor(rng, shape);
          const factors = { down: randomTensor(rng, [rows, rank]), up: randomTensor(rng, [columns, rank]) } as Factors;
          const found = adapted(weights, factors, 2.5);
          expect(found.shape).toEqual(shape);
          const values = (tensor: tf.Tensor) => tensor.dataSync<"float32">();
          const wanted = plain(values(weights), values(factors.down), values(factors.up), [rows, columns, rank], 2.5);
          const error = values(found).map((value, i) => Math.abs(value - (wanted[i] as number)));
          expect(Math.max(...error)).toBeLessThan(1e-4);
        });
      }),
      { numRuns: 30 },
    );
  });

  test.each(["down", "up"] as const)("has the gradient of %s that finite differences give", (part) => {
    const rng = Rng.of("factors", part);
    tf.tidy(() => {
      const weights = randomTensor(rng, [3, 3, 2, 5]);
      const factors = { down: randomTensor(rng, [18, 3]), up: randomTensor(rng, [5, 3]) } as Factors;
      const direction = randomTensor(rng, factors[part].shape);
      // A loss with curvature: the sum of squares, whose gradient is twice the kernel.
      const at = (step: number) => {
        const moved = { ...factors, [part]: tf.add(factors[part], tf.mul(direction, step)) };
        return tf.sum(tf.square(adapted(weights, moved, 1.5))).dataSync()[0] as number;
      };
      const gradient = factorGradient(part, tf.mul(adapted(weights, factors, 1.5), 2), factors, 1.5);
      const analytic = tf.sum(tf.mul(gradient, direction)).dataSync()[0] as number;
      const numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
      expect(Math.abs(numeric - analytic)).toBeLessThan(2e-3 * Math.abs(analytic));
    });
  });
});
