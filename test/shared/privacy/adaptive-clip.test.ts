/** Adaptive clipping: the update rule beside the paper's, what it converges to, and what update and bit cost together. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodePrivately } from "../../../client/update/encode-private.ts";
import { decodeAggregate } from "../../../coordinator/aggregate/decode.ts";
import { privateRules } from "../../../coordinator/aggregate/private-rules.ts";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import {
  adaptiveClip,
  bitNoiseOf,
  clipOfRound,
  nextClip,
  splitSensitivity,
} from "../../../shared/privacy/adaptive-clip.ts";
import { epsilonOf, type Mechanism } from "../../../shared/privacy/mechanism.ts";
import { noiseOf, privateGrid, roundMechanism } from "../../../shared/privacy/plan.ts";
import { atClip } from "../../../shared/privacy/private-fixed-point.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { trainingLayout } from "../../../shared/secagg/vector-layout.ts";
import { clippingNorms } from "../../reference/adaptive-clip.ts";

const configOf = (privacy: string, rest = "schedule: { rounds: 3 }") =>
  parseFederationConfig(`federation: test\nlabels: { scene: [a, b] }\nprivacy: { unit: client, ${privacy} }\n${rest}`)
    .config;
const WIDE = { min: 1e-6, max: 1e6 } as const;
const close = (got: number, expected: number, relative = 1e-12) =>
  expect(Math.abs(got / expected - 1)).toBeLessThan(relative);

describe("the norm from round to round", () => {
  test("is the paper's, through clients' vectors and their sum", () => {
    const params = layoutOf([{ name: "w", shape: [3] }]);
    const config = configOf("noiseMultiplier: 1, budget: 1e5, clipNorm: { adaptive: {} }");
    const adaptive = adaptiveClip(config.privacy) as NonNullable<ReturnType<typeof adaptiveClip>>;
    const layout = trainingLayout({ wordBits: 32, cohortMax: 64, coordinates: 3, clipBit: true });
    const first = privateRules(config, layout) as NonNullable<ReturnType<typeof privateRules>>;
    const grid = privateGrid(config);
    const sizes = fc.array(fc.array(fc.double({ min: 1e-3, max: 20, noNaN: true }), { minLength: 3, maxLength: 9 }), {
      minLength: 1,
      maxLength: 6,
    });
    const rates = {
      quantile: fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      rate: fc.double({ min: 0.01, max: 1, noNaN: true }),
    };
    fc.assert(
      fc.property(sizes, fc.record(rates), (rounds, { quantile, rate }) => {
        const settings = { ...adaptive, ...WIDE, quantile, rate };
        // A float32 has another length than asked for: both see the one that is sent.
        const deltas = rounds.map((norms) => norms.map((norm) => Float32Array.of(0, norm, 0)));
        const algorithm = { initial: 1, gamma: quantile, eta: rate, noise: () => 0 };
        const expected = clippingNorms(
          deltas.map((round) => round.map((delta) => delta[1] as number)),
          algorithm,
        );
        let held: number | undefined;
        for (const [i, round] of deltas.entries()) {
          const clip = clipOfRound(settings, held);
          close(clip, expected[i] as number);
          const rules = { ...atClip(first, clip), examplesPerWeight: 1 };
          const sum = new Uint32Array(layout.words);
          for (const delta of round) {
            const { words } = encodePrivately(rules, params, { delta }, { grid, random: null });
            for (let w = 0; w < sum.length; w++) sum[w] = (sum[w] as number) + (words[w] as number);
          }
          held = nextClip(settings, clip, decodeAggregate(rules, sum, round.length).shareWithinClip as number);
        }
        close(held as number, expected.at(-1) as number);
      }),
      { numRuns: 60 },
    );
  });

  test("stays within its bounds, also where the plan moved them", () => {
    const adaptive = { quantile: 0.5, rate: 2, from: 1, min: 0.5, max: 2 };
    expect(clipOfRound(adaptive, undefined)).toBe(1);
    expect(clipOfRound(adaptive, 100)).toBe(2);
    expect(nextClip(adaptive, 1, -9)).toBe(2);
    expect(nextClip(adaptive, 1, 9)).toBe(0.5);
    // As many within as should be: it stays.
    expect(nextClip(adaptive, 1.25, 0.5)).toBe(1.25);
  });

  test.each([0.2, 0.5, 0.9])(
    "comes to the quantile %d of made-up norms from far away, with the noise of the paper",
    (quantile) => {
      const rng = Rng.of(7, "adaptive clip", quantile);
      const normal = () => Math.sqrt(-2 * Math.log(1 - rng.uniform())) * Math.cos(2 * Math.PI * rng.uniform());
      const clients = 100;
      const adaptive = { quantile, rate: 0.2, from: 0.01, ...WIDE };
      const norm = () => 3 * Math.exp(0.5 * normal());
      let clip = clipOfRound(adaptive, undefined);
      const late: number[] = [];
      for (let round = 0; round < 300; round++) {
        const within = Array.from({ length: clients }, norm).filter((length) => length <= clip).length;
        clip = nextClip(adaptive, clip, (within + bitNoiseOf(adaptive, 1, clients) * normal()) / clients);
        if (round >= 200) late.push(clip);
      }
      const expected = quantileOf(Array.from({ length: 20_000 }, norm), quantile);
      const mean = Math.exp(late.reduce((sum, value) => sum + Math.log(value), 0) / late.length);
      expect(Math.abs(Math.log(mean / expected))).toBeLessThan(0.06);
    },
  );
});

function quantileOf(values: readonly number[], quantile: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(quantile * values.length)] as number;
}

describe("what it costs", () => {
  test("update and bit share one norm, in integers, as the paper's z_delta says", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1_000_000, max: 2 ** 31 - 1 }),
        fc.double({ min: 0.05, max: 50, noNaN: true }),
        fc.double({ min: 0.51, max: 100, noNaN: true }),
        (sensitivity, z, times) => {
          const sigma = z * times;
          const { update, bit } = splitSensitivity(sensitivity, z, sigma);
          expect(BigInt(update) ** 2n + BigInt(bit) ** 2n <= BigInt(sensitivity) ** 2n).toBe(true);
          // z S is the noise: relative to what each of them has of the norm it is z_delta, and 2 sigma_b.
          const zDelta = (z ** -2 - (2 * sigma) ** -2) ** -0.5;
          close((z * sensitivity) / update, zDelta, 1e-3);
          close((z * sensitivity) / (2 * bit), sigma, 1e-3);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("by the accountant as much as one vector with the plan's noise multiplier", () => {
    const gaussian = (noiseMultiplier: number): Mechanism => ({
      kind: "sampled-gaussian",
      rate: 1,
      noiseMultiplier,
      steps: 1,
    });
    for (const [z, sigma] of [
      [0.8, 1.5],
      [3, 5],
      [12, 6.5],
    ] as const) {
      const zDelta = (z ** -2 - (2 * sigma) ** -2) ** -0.5;
      const both = [gaussian(zDelta), gaussian(2 * sigma)].map((mechanism) => ({ mechanism, times: 10 }));
      const one = [{ mechanism: gaussian(z), times: 10 }];
      close(epsilonOf(both, 1e-5), epsilonOf(one, 1e-5), 1e-3);
    }
  });

  test("and in the ledger of both sides the very mechanism of a fixed norm", () => {
    const [fixed, adaptive] = [configOf("epsilon: 8"), configOf("epsilon: 8, clipNorm: { adaptive: {} }")];
    expect(roundMechanism(adaptive)).toEqual(roundMechanism(fixed));
    expect(noiseOf(adaptive.privacy)).toBe(noiseOf(fixed.privacy));
    const grid = privateGrid(fixed);
    expect([grid.update, grid.bit]).toEqual([grid.sensitivity, 0]);
  });

  test("no more than a tenth goes to the bit unless the configuration says so", () => {
    for (const [z, clients] of [
      [0.5, 4],
      [2, 4],
      [2, 1_000],
    ] as const) {
      const { update } = splitSensitivity(
        1e8,
        z,
        bitNoiseOf({ quantile: 0.5, rate: 0.2, from: 1, ...WIDE }, z, clients),
      );
      expect((update / 1e8) ** 2).toBeGreaterThanOrEqual(0.9 - 1e-6);
    }
    expect(bitNoiseOf({ quantile: 0.5, rate: 0.2, from: 1, ...WIDE }, 2, 1_000)).toBe(50);
  });
});

describe("the configuration", () => {
  test("fills in the paper's rates", () => {
    expect(adaptiveClip(configOf("clipNorm: { adaptive: {} }").privacy)).toEqual({
      quantile: 0.5,
      rate: 0.2,
      from: 1,
      min: 0.001,
      max: 100,
    });
    expect(adaptiveClip(configOf("clipNorm: 2").privacy)).toBeNull();
  });

  test.each([
    [
      "clipNorm: { adaptive: { from: 200 } }",
      "privacy.clipNorm.adaptive.from: expected between min (0.001) and max (100)",
    ],
    ["clipNorm: { adaptive: { min: 2 } }", "privacy.clipNorm.adaptive.from"],
    ["clipNorm: { adaptive: { quantile: 1 } }", "privacy.clipNorm"],
    ["clipNorm: { adaptive: { speed: 1 } }", "privacy.clipNorm"],
    ["clipNorm: -1", "privacy.clipNorm"],
    [
      "noiseMultiplier: 4, budget: 1000, clipNorm: { adaptive: { bitNoise: 1.9 } }",
      "more than 2, half of the noise multiplier",
    ],
    ["noiseMultiplier: 4, budget: 1000, clipNorm: { adaptive: { bitNoise: 1e6 } }", ""],
  ])("%s", (privacy, words) => {
    if (words === "") expect(() => configOf(privacy)).not.toThrow();
    else expect(() => configOf(privacy)).toThrow(words);
  });
});
