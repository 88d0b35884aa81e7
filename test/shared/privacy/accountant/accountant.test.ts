/** The accountants against Google's dp-accounting (test/vectors/privacy), exact formulas and brute force. */
import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { composedEpsilon } from "../../../../shared/privacy/accountant/compose.ts";
import {
  discreteGaussianSumRenyi,
  epsilonOfRenyi,
  ORDERS,
  sampledGaussianRenyi,
} from "../../../../shared/privacy/accountant/renyi.ts";
import { gaussianEpsilon } from "../../../reference/gaussian-delta.ts";

interface Run {
  readonly rate: number;
  readonly noiseMultiplier: number;
  readonly times: number;
}
interface Known {
  readonly delta: number;
  readonly rdp: number;
  readonly pld: number;
}
interface SumCase {
  readonly clients: number;
  readonly stddev: number;
  readonly sensitivity: number;
  readonly dimension: number;
  readonly times: number;
  readonly delta: number;
  readonly epsilon: number;
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/privacy/accountants.json", import.meta.url), "utf8"),
) as { grid: (Run & Known)[]; mixed: ({ parts: Run[] } & Known)[]; sums: SumCase[] };

const cases = [...vectors.grid.map((row) => ({ ...row, parts: [row] })), ...vectors.mixed];

function renyiEpsilon(parts: readonly Run[], delta: number): number {
  const at = (order: number) =>
    parts.reduce(
      (sum, { rate, noiseMultiplier, times }) => sum + times * sampledGaussianRenyi(rate, noiseMultiplier, order),
      0,
    );
  return epsilonOfRenyi(ORDERS.map(at), delta);
}

/** Within 1 %, or 0.001 where epsilon is next to nothing. */
function expectNear(got: number, known: number): void {
  expect(Math.abs(got - known)).toBeLessThanOrEqual(Math.max(0.01 * known, 1e-3));
}

describe("agreement with dp-accounting over the grid", () => {
  test("there is a grid", () => expect(cases.length).toBeGreaterThan(70));

  test("Rényi divergences", () => {
    // Beyond, dp-accounting leaves out the small orders that matter there, as its series do not converge.
    const useful = cases.filter(({ rdp }) => rdp < 50);
    expect(useful.length).toBeGreaterThan(60);
    for (const { parts, delta, rdp } of useful) expectNear(renyiEpsilon(parts, delta), rdp);
  });

  test("privacy loss distributions", () => {
    for (const { parts, delta, pld } of cases) {
      const repeated = parts.map(({ times, ...mechanism }) => ({ mechanism, times }));
      expectNear(composedEpsilon(repeated, delta), pld);
    }
  });

  test("sums of discrete Gaussians", () => {
    for (const { times, delta, epsilon, ...sum } of vectors.sums) {
      expectNear(
        epsilonOfRenyi(
          ORDERS.map((order) => times * discreteGaussianSumRenyi(sum, order)),
          delta,
        ),
        epsilon,
      );
    }
  });
});

test("without sampling the loss distribution is the exact curve of the Gaussian mechanism, from above", () => {
  for (const [noise, times, delta] of [
    [0.5, 1, 1e-5],
    [1, 1, 1e-9],
    [5, 100, 1e-5],
    [30, 400, 1e-3],
  ] as const) {
    const exact = gaussianEpsilon(noise / Math.sqrt(times), delta);
    const got = composedEpsilon([{ mechanism: { rate: 1, noiseMultiplier: noise }, times }], delta);
    expect(got).toBeGreaterThan(exact * (1 - 1e-9));
    expect(got).toBeLessThan(exact * 1.001);
  }
});

test("nothing costs nothing, no noise costs everything, and sampling never costs more than none", () => {
  const run = (rate: number, noiseMultiplier: number, times: number) =>
    composedEpsilon([{ mechanism: { rate, noiseMultiplier }, times }], 1e-5);
  expect(run(0.1, 1, 0)).toBe(0);
  expect(run(0.1, 0, 1)).toBe(Number.POSITIVE_INFINITY);
  expect(run(0.3, 1, 10)).toBeLessThan(run(1, 1, 10));
  expect(run(0.1, 1, 10)).toBeLessThan(run(0.3, 1, 10));
});

/** Of integers in [-300, 300], by definition. */
function discreteGaussian(stddev: number): Float64Array {
  const masses = Float64Array.from({ length: 601 }, (_, i) => Math.exp(-((i - 300) ** 2) / (2 * stddev ** 2)));
  const total = masses.reduce((a, b) => a + b);
  return masses.map((mass) => mass / total);
}

function convolve(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j < b.length; j++) {
      const at = i + j - 300;
      if (at >= 0 && at < out.length) out[at] = (out[at] as number) + (a[i] as number) * (b[j] as number);
    }
  }
  return out;
}

test("the bound of sums of discrete Gaussians lies above the divergence of their convolution", () => {
  for (const stddev of [0.5, 0.8, 1.5, 4]) {
    const one = discreteGaussian(stddev);
    const sum = convolve(convolve(one, one), one);
    for (const shift of [1, 2]) {
      for (const order of [1.5, 2, 8]) {
        let moment = 0;
        for (let i = shift; i < sum.length; i++) {
          const [p, q] = [sum[i - shift] as number, sum[i] as number];
          if (p > 0 && q > 0) moment += Math.exp(order * Math.log(p) + (1 - order) * Math.log(q));
        }
        const bound = discreteGaussianSumRenyi({ clients: 3, stddev, sensitivity: shift, dimension: 1 }, order);
        expect(Math.log(moment) / (order - 1)).toBeLessThanOrEqual(bound * (1 + 1e-9));
      }
    }
  }
});
