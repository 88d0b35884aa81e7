/** Measures what the engine achieves at the operations that training consists of. */
import * as tf from "./tf.ts";

export interface EngineSpeed {
  /** "matmul 512": product of two 512x512 matrices, and so on. */
  readonly operation: string;
  /** Billions of floating-point operations a second, of the fastest repetition. */
  readonly gflops: number;
  /** Milliseconds of the fastest repetition. */
  readonly ms: number;
}

interface Probe {
  readonly operation: string;
  /** Floating-point operations of one run; a multiplication with its addition counts as two. */
  readonly flop: number;
  /** Returns tensors that one run produces. */
  readonly run: () => tf.Tensor[];
}

/**
 * Runs each probe for about `seconds` and at least three times.
 *
 * @returns one row a probe; the gradient rows are forward and backward together
 */
export async function measureEngine(seconds = 0.5): Promise<EngineSpeed[]> {
  const inputs: tf.Tensor[] = [];
  const normal = (shape: number[]): tf.Tensor4D => {
    const tensor = tf.randomNormal(shape, 0, 1, "float32", 7);
    inputs.push(tensor);
    return tensor as tf.Tensor4D;
  };
  const a = normal([512, 512]) as unknown as tf.Tensor2D;
  const b = normal([512, 512]) as unknown as tf.Tensor2D;
  const picture = normal([1, 56, 56, 64]);
  const filter = normal([3, 3, 64, 64]);
  const depthFilter = normal([3, 3, 64, 1]);
  const convFlop = 2 * 56 * 56 * 9 * 64 * 64;
  const depthwiseFlop = 2 * 56 * 56 * 9 * 64;
  const conv = tf.grads((x: tf.Tensor, f: tf.Tensor) =>
    tf
      .conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, "same")
      .square()
      .sum(),
  );
  const depthwise = tf.grads((x: tf.Tensor, f: tf.Tensor) =>
    tf
      .depthwiseConv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, "same")
      .square()
      .sum(),
  );
  const probes: Probe[] = [
    { operation: "matmul 512", flop: 2 * 512 ** 3, run: () => [tf.matMul(a, b)] },
    { operation: "matmul 512, transposed", flop: 2 * 512 ** 3, run: () => [tf.matMul(a, b, true, false)] },
    { operation: "conv 3x3, 64 to 64, 56x56", flop: convFlop, run: () => [tf.conv2d(picture, filter, 1, "same")] },
    { operation: "conv 3x3 with gradient", flop: 3 * convFlop, run: () => conv([picture, filter]) },
    { operation: "depthwise 3x3 with gradient", flop: 3 * depthwiseFlop, run: () => depthwise([picture, depthFilter]) },
  ];
  const rows: EngineSpeed[] = [];
  try {
    for (const probe of probes) rows.push(await measure(probe, seconds));
  } finally {
    tf.dispose(inputs);
  }
  return rows;
}

async function measure(probe: Probe, seconds: number): Promise<EngineSpeed> {
  let best = Infinity;
  const end = performance.now() + seconds * 1000;
  for (let i = 0; i < 3 || performance.now() < end; i++) {
    const start = performance.now();
    const results = tf.tidy(probe.run);
    await results[0]?.data();
    best = Math.min(best, performance.now() - start);
    tf.dispose(results);
  }
  return { operation: probe.operation, gflops: probe.flop / best / 1e6, ms: best };
}
