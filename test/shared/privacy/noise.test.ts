/** The samplers: distributions by chi-square and moments, and the quick decision against the exact one. */
import { describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { discreteGaussian } from "../../../shared/privacy/discrete-gaussian.ts";
import { addGaussian, poissonSample } from "../../../shared/privacy/gaussian-noise.ts";
import { SecureNumbers } from "../../../shared/privacy/secure-numbers.ts";
import { SecureRng } from "../../../shared/rng/secure.ts";

/** The same bytes in every run, so that no test fails by chance. */
function numbers(label: string): SecureNumbers {
  let counter = 0;
  return new SecureNumbers(
    new SecureRng((out) => {
      for (let at = 0; at < out.length; at += 32) {
        const block = createHash("sha256").update(`${label} ${counter++}`).digest();
        out.set(block.subarray(0, Math.min(32, out.length - at)), at);
      }
    }),
  );
}

/** Of the counts of values -reach … reach, the ends holding all beyond; about normal with mean its degrees of freedom. */
function chiSquare(values: readonly number[], sigma: number, reach: number): number {
  const weight = (x: number) => Math.exp((-x * x) / (2 * sigma * sigma));
  const all = Array.from({ length: 80 * sigma + 1 }, (_, i) => i - 40 * sigma);
  const total = all.reduce((sum, x) => sum + weight(x), 0);
  const bin = (x: number) => Math.max(-reach, Math.min(reach, x)) + reach;
  const expected = new Float64Array(2 * reach + 1);
  for (const x of all) expected[bin(x)] = (expected[bin(x)] as number) + (values.length * weight(x)) / total;
  const counted = new Float64Array(2 * reach + 1);
  for (const x of values) counted[bin(x)] = (counted[bin(x)] as number) + 1;
  return expected.reduce((sum, e, i) => sum + ((counted[i] as number) - e) ** 2 / e, 0);
}

describe("discrete Gaussian", () => {
  test.each([
    [1, 3],
    [2, 5],
    [7, 15],
  ])("sigma %i has its distribution", (sigma, reach) => {
    const sample = discreteGaussian(numbers(`sigma ${sigma}`), sigma);
    const values = Array.from({ length: 40_000 }, sample);
    // Mean 2 reach, deviation sqrt(4 reach): five of them.
    expect(chiSquare(values, sigma, reach)).toBeLessThan(2 * reach + 5 * Math.sqrt(4 * reach));
    expect(values.every(Number.isInteger)).toBe(true);
  });

  test("the exact decision has the same distribution, and decides as the quick one where bits are the same", () => {
    const values = Array.from({ length: 4_000 }, discreteGaussian(numbers("exact"), 3, { doubt: 2 }));
    expect(chiSquare(values, 3, 7)).toBeLessThan(14 + 5 * Math.sqrt(28));
  });

  test("a large sigma has its moments", () => {
    const sigma = 1_234_567;
    const values = Array.from({ length: 20_000 }, discreteGaussian(numbers("large"), sigma));
    const mean = values.reduce((a, b) => a + b) / values.length / sigma;
    const variance = values.reduce((a, b) => a + (b / sigma) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(values.length));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
  });

  test("refuses a sigma that is no positive integer", () => {
    for (const sigma of [0, -1, 1.5, Number.NaN]) expect(() => discreteGaussian(numbers("x"), sigma)).toThrow("sigma");
  });
});

test("Gaussian noise has its moments and is added", () => {
  const values = new Float32Array(50_001).fill(10);
  addGaussian(numbers("noise"), values, 3);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - 10) ** 2, 0) / values.length;
  const fourth = values.reduce((a, b) => a + (b - 10) ** 4, 0) / values.length;
  expect(mean).toBeCloseTo(10, 1);
  expect(variance / 9).toBeCloseTo(1, 1);
  expect(fourth / 81 / 3).toBeCloseTo(1, 1);
});

test("a Poisson sample takes each with its probability", () => {
  const source = numbers("poisson");
  const sizes = Array.from({ length: 400 }, () => poissonSample(source, 50, 0.2).length);
  const mean = sizes.reduce((a, b) => a + b) / sizes.length;
  const variance = sizes.reduce((a, b) => a + (b - mean) ** 2, 0) / sizes.length;
  expect(Math.abs(mean - 10)).toBeLessThan(5 * Math.sqrt(8 / 400));
  expect(variance).toBeGreaterThan(5);
  expect(variance).toBeLessThan(12);
});
