import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Backend } from "../../../../models/engine/node/load.ts";
import * as tf from "../../../../models/engine/tf.ts";
import { Rng } from "../../../../shared/rng/rng.ts";
import { availableEngines, computeOn, relativeError } from "../engines.ts";

/** float32 sums of a few hundred products in another order. */
const TOLERANCE = 2e-5;

let engines: Backend[] = [];
beforeAll(async () => {
  engines = await availableEngines();
  expect(engines).toEqual(expect.arrayContaining(["wasm", "cpu"]));
});

type Shape = [number, number, number, number];
interface Case {
  readonly input: Shape;
  readonly filter: Shape;
  readonly stride: number;
  readonly pad: "same" | "valid";
  readonly seed: number;
}

const cases = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    height: fc.integer({ min: 1, max: 11 }),
    width: fc.integer({ min: 1, max: 11 }),
    kernelHeight: fc.integer({ min: 1, max: 5 }),
    kernelWidth: fc.integer({ min: 1, max: 5 }),
    channels: fc.integer({ min: 1, max: 6 }),
    outputs: fc.integer({ min: 1, max: 5 }),
    stride: fc.integer({ min: 1, max: 3 }),
    pad: fc.constantFrom("same" as const, "valid" as const),
    seed: fc.integer({ min: 0, max: 1e6 }),
  })
  .filter((c) => c.pad === "same" || (c.kernelHeight <= c.height && c.kernelWidth <= c.width))
  .map((c): Case => ({
    input: [c.batch, c.height, c.width, c.channels],
    filter: [c.kernelHeight, c.kernelWidth, c.channels, c.outputs],
    stride: c.stride,
    pad: c.pad,
    seed: c.seed,
  }));

function random(shape: readonly number[], rng: Rng): tf.Tensor4D {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.uniform() * 2 - 1);
  return tf.tensor(values, shape as Shape);
}

/** The forward operation, x, filter and dy of a case, the same on every engine. */
function prepare(c: Case, depthwise: boolean): { x: tf.Tensor4D; w: tf.Tensor4D; dy: tf.Tensor4D } {
  const rng = Rng.of(c.seed);
  const x = random(c.input, rng);
  const w = random(c.filter, rng);
  const { outShape } = tf.backend_util.computeConv2DInfo(c.input, c.filter, c.stride, 1, c.pad, undefined, depthwise);
  return { x, w, dy: random(outShape, rng) };
}

const KERNELS = [
  { name: "Conv2DBackpropFilter", depthwise: false, of: "filter" },
  { name: "Conv2DBackpropInput", depthwise: false, of: "input" },
  { name: "DepthwiseConv2dNativeBackpropFilter", depthwise: true, of: "filter" },
  { name: "DepthwiseConv2dNativeBackpropInput", depthwise: true, of: "input" },
] as const;

function gradientOf(kernel: (typeof KERNELS)[number], c: Case): tf.Tensor {
  const { x, w, dy } = prepare(c, kernel.depthwise);
  const attributes = {
    strides: [c.stride, c.stride],
    pad: c.pad,
    dataFormat: "NHWC",
    dilations: [1, 1],
    ...(kernel.of === "filter" ? { filterShape: c.filter } : { inputShape: c.input }),
  };
  const inputs = kernel.of === "filter" ? { x, dy } : { dy, filter: w };
  return tf.engine().runKernel(kernel.name, inputs as never, attributes) as tf.Tensor;
}

describe.each(KERNELS)("$name on WASM", (kernel) => {
  test("equals plain JavaScript and the native library on random shapes, strides and paddings", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const got = await computeOn("wasm", () => gradientOf(kernel, c));
        for (const reference of engines.filter((engine) => engine !== "wasm")) {
          const expected = await computeOn(reference, () => gradientOf(kernel, c));
          expect(relativeError(got, expected)).toBeLessThan(TOLERANCE);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("equals finite differences, which are exact here: the convolution is linear in each argument", async () => {
    const c: Case = { input: [2, 7, 6, 3], filter: [3, 2, 3, 2], stride: 2, pad: "same", seed: 11 };
    const loss = (index: number): tf.Tensor => {
      const { x, w, dy } = prepare(c, kernel.depthwise);
      const step = (t: tf.Tensor4D): tf.Tensor4D => {
        const values = Float32Array.from(t.dataSync());
        if (index >= 0) values[index]! += 1;
        return tf.tensor(values, t.shape);
      };
      const [a, b] = kernel.of === "filter" ? [x, step(w)] : [step(x), w];
      const y = (kernel.depthwise ? tf.depthwiseConv2d : tf.conv2d)(a, b, c.stride, c.pad);
      return tf.sum(tf.mul(y, dy));
    };
    const gradient = await computeOn("wasm", () => gradientOf(kernel, c));
    const base = (await computeOn("wasm", () => loss(-1)))[0]!;
    const numeric: number[] = [];
    for (let i = 0; i < gradient.length; i++) numeric.push((await computeOn("wasm", () => loss(i)))[0]! - base);
    expect(relativeError(gradient, numeric)).toBeLessThan(TOLERANCE);
    expect(Math.max(...numeric.map(Math.abs))).toBeGreaterThan(0.1);
  });
});

describe("products of transposed matrices on WASM", () => {
  test.each([
    { transposeA: false, transposeB: true },
    { transposeA: true, transposeB: false },
    { transposeA: true, transposeB: true },
  ])("equal those of the other engines: %j", async ({ transposeA, transposeB }) => {
    const product = (batch: number[]) => (): tf.Tensor => {
      const rng = Rng.of("product");
      const a = random([...batch, ...(transposeA ? [5, 7] : [7, 5])], rng) as tf.Tensor;
      const b = random([...batch, ...(transposeB ? [4, 5] : [5, 4])], rng) as tf.Tensor;
      return tf.matMul(a, b, transposeA, transposeB);
    };
    for (const batch of [[], [3], [2, 3]]) {
      const got = await computeOn("wasm", product(batch));
      for (const engine of engines) {
        expect(relativeError(got, await computeOn(engine, product(batch)))).toBeLessThan(TOLERANCE);
      }
    }
  });
});

describe("UnsortedSegmentSum on WASM", () => {
  test("sums rows by segment, leaves out ids beyond the range, and equals the other engines", async () => {
    const run = (ids: number[]) => () =>
      tf
        .engine()
        .runKernel(
          "UnsortedSegmentSum",
          { x: tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]), segmentIds: tf.tensor1d(ids, "int32") } as never,
          { numSegments: 3 },
        ) as tf.Tensor;
    expect([...(await computeOn("wasm", run([2, 0, 2, -1])))]).toEqual([3, 4, 0, 0, 6, 8]);
    for (const engine of engines) {
      expect([...(await computeOn(engine, run([2, 0, 2, 0])))]).toEqual([10, 12, 0, 0, 6, 8]);
    }
  });

  test("is the gradient of gather", async () => {
    const gradient = (): tf.Tensor =>
      tf.grad((table: tf.Tensor) =>
        tf.sum(
          tf.square(
            tf.gather(
              table,
              tf.tensor2d(
                [
                  [1, 3],
                  [1, 0],
                ],
                [2, 2],
                "int32",
              ),
            ),
          ),
        ),
      )(tf.tensor2d([1, 2, 3, 4], [4, 1]));
    for (const engine of engines) expect([...(await computeOn(engine, gradient))]).toEqual([2, 8, 0, 8]);
  });
});

test("a layout that the kernels do not know is refused with a code", async () => {
  await tf.setBackend("wasm");
  const x = tf.zeros([1, 3, 4, 4]) as tf.Tensor4D;
  const attributes = { strides: 1, pad: "valid", dataFormat: "NCHW", filterShape: [3, 3, 3, 2] };
  expect(() => tf.engine().runKernel("Conv2DBackpropFilter", { x, dy: x } as never, attributes as never)).toThrow(
    expect.objectContaining({ code: "ENGINE_KERNEL" }),
  );
});
