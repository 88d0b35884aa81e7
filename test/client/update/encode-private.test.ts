/** Client-level privacy from delta to mean: the norm of the integers, no overflow, the noise of the sum. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodePrivately } from "../../../client/update/encode-private.ts";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { judge } from "../../../coordinator/aggregate/robust/judge.ts";
import { decodeAggregate } from "../../../coordinator/aggregate/decode.ts";
import { privateRules, withNoise } from "../../../coordinator/aggregate/private-rules.ts";
import { clientName } from "../../../shared/ids.ts";
import { systemRandom } from "../../../shared/node/crypto.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import { privateGrid } from "../../../shared/privacy/plan.ts";
import { atClip } from "../../../shared/privacy/private-fixed-point.ts";
import { signedView } from "../../../shared/quantize/fixed-point.ts";
import type { Words } from "../../../shared/secagg/mask.ts";
import { trainingLayout } from "../../../shared/secagg/vector-layout.ts";

const DIMENSION = 2_000;
const params = layoutOf([{ name: "w", shape: [DIMENSION] }]);

function setting(over = "", privacy = "epsilon: 8, clipNorm: 0.5", cohortMax = 8) {
  const { config } = parseFederationConfig(
    `federation: test\nlabels: { scene: [a, b] }\nprivacy: { unit: client, ${privacy} }\nschedule: { rounds: 3, cohort: { min: 4, max: ${cohortMax} } }\n${over}`,
  );
  const { wordBits } = config.secureAggregation;
  const clipBit = privacy.includes("adaptive");
  const layout = trainingLayout({ wordBits, cohortMax, coordinates: DIMENSION, clipBit });
  const rules = privateRules(config, layout) as NonNullable<ReturnType<typeof privateRules>>;
  const grid = privateGrid(config);
  const encode = (delta: Float32Array, random: ReturnType<typeof systemRandom> | null) =>
    encodePrivately({ ...rules, examplesPerWeight: 8 }, params, { delta }, { grid, random }).words;
  return { config, rules, grid, encode };
}

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

function added(vectors: readonly Words[]): Words {
  const sum = (vectors[0] as Words).slice();
  for (const vector of vectors.slice(1))
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (vector[i] as number);
  return sum;
}

describe("one client", () => {
  test.each(["", "secureAggregation: { wordBits: 16 }"])(
    "never sends more than the norm that the noise is for (%s)",
    (over) => {
      const { grid, encode } = setting(over, "epsilon: 8, clipNorm: 0.5", 4);
      fc.assert(
        fc.property(fc.integer(), fc.double({ min: 1e-6, max: 1e3, noNaN: true }), (seed, size) => {
          let state = seed;
          const delta = Float32Array.from({ length: DIMENSION }, () => {
            state = (Math.imul(state, 1664525) + 1013904223) | 0;
            return (state / 2 ** 31) * size;
          });
          const values = signedView(encode(delta, null).subarray(0, DIMENSION));
          expect(norm(values)).toBeLessThanOrEqual(grid.sensitivity);
          if (norm(delta) > 0.5) expect(norm(values)).toBeGreaterThan(0.9 * grid.sensitivity);
        }),
        { numRuns: 30 },
      );
    },
  );

  test("says nothing beside the coordinates, and weighs as all others", () => {
    const { rules, encode } = setting();
    const words = encode(new Float32Array(DIMENSION).fill(1), systemRandom());
    expect(words[DIMENSION]).toBe(1);
    expect(Array.from(words.subarray(rules.layout.statisticsAt)).every((word) => word === 0)).toBe(true);
  });

  test("is refused an update that is no number", () => {
    const { encode } = setting();
    expect(() => encode(new Float32Array(DIMENSION).fill(Number.NaN), null)).toThrow("update has NaN");
  });
});

describe("the sum", () => {
  test("is the clipped mean with the planned noise, whatever the survivors, over the fixed denominator", () => {
    const { config, rules, grid, encode } = setting();
    const delta = new Float32Array(DIMENSION).fill(1);
    for (const survivors of [3, 5]) {
      const sum = added(Array.from({ length: survivors }, () => encode(delta, systemRandom())));
      const { meanDelta, loss, examples } = decodeAggregate(rules, sum, survivors);
      const expected = ((survivors / config.schedule.cohort.min) * 0.5) / Math.sqrt(DIMENSION);
      const noise = meanDelta.map((x) => x - expected);
      const stddev = (grid.stddev * Math.sqrt(survivors)) / rules.fixed.scale / config.schedule.cohort.min;
      expect(norm(noise) / Math.sqrt(DIMENSION) / stddev).toBeCloseTo(1, 0);
      expect(Math.abs(norm(noise) / Math.sqrt(DIMENSION) / stddev - 1)).toBeLessThan(0.12);
      expect([loss, examples]).toEqual([0, 0]);
    }
    const { noiseMultiplier: written, noise } = config.privacy as { noiseMultiplier?: number; noise?: number };
    expect(written).toBeUndefined();
    // minSurvivors together add what epsilon asks for.
    expect((grid.stddev * Math.sqrt(3)) / grid.sensitivity / (noise as number)).toBeCloseTo(1, 3);
  });

  test("of the largest cohort fits the word with all its noise", () => {
    for (const [over, max] of [
      ["", 64],
      ["secureAggregation: { wordBits: 16 }", 4],
    ] as const) {
      const { config, grid } = setting(over, "epsilon: 20", max);
      const { max: clients } = config.schedule.cohort;
      expect(clients * grid.sensitivity + grid.tail).toBeLessThan(2 ** (config.secureAggregation.wordBits - 1));
    }
  });

  test("with colluders the others add more", () => {
    const alone = setting("", "noiseMultiplier: 2").grid;
    const colluding = setting("", "noiseMultiplier: 2, colluders: 1").grid;
    expect(colluding.clients).toBe(alone.clients - 1);
    expect((colluding.stddev * Math.sqrt(2)) / colluding.sensitivity).toBeCloseTo(2, 3);
  });

  test("a trusted coordinator adds the noise itself", () => {
    const { rules, grid, encode, config } = setting("secureAggregation: { mode: off }");
    const sum = added(Array.from({ length: 4 }, () => encode(new Float32Array(DIMENSION), null)));
    expect(Array.from(sum.subarray(0, DIMENSION)).every((word) => word === 0)).toBe(true);
    expect(() => decodeAggregate(rules, sum, 4)).toThrow("with its noise");
    const { meanDelta } = decodeAggregate(withNoise(rules, systemRandom), sum, 4);
    const stddev = grid.stddev / rules.fixed.scale / config.schedule.cohort.min;
    expect(Math.abs(norm(meanDelta) / Math.sqrt(DIMENSION) / stddev - 1)).toBeLessThan(0.1);
    expect(grid.clients).toBe(1);
  });
});

describe("an adaptive clipping norm", () => {
  const ADAPTIVE = "noiseMultiplier: 1, budget: 1e5, clipNorm: { adaptive: { from: 0.5 } }";
  const delta = (length: number) => new Float32Array(DIMENSION).fill(length / Math.sqrt(DIMENSION));

  test.each(["", "secureAggregation: { wordBits: 16 }"])(
    "gives update and bit together the norm that the noise is for (%s)",
    (over) => {
      const { rules, grid, encode } = setting(over, ADAPTIVE, 4);
      const { clipBitAt } = rules.layout;
      expect(clipBitAt).toBe(rules.layout.words - 1);
      fc.assert(
        fc.property(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (length) => {
          const values = signedView(encode(delta(length), null));
          const bit = values[clipBitAt as number] as number;
          expect(bit).toBe(length <= 0.5 ? grid.bit : -grid.bit);
          const whole = norm([...values.subarray(0, DIMENSION), bit]);
          expect(whole).toBeLessThanOrEqual(grid.sensitivity * (1 + 1e-12));
          if (length > 0.5) expect(whole).toBeGreaterThan(0.99 * grid.sensitivity - Math.sqrt(DIMENSION));
        }),
        { numRuns: 30 },
      );
      // Another round's norm: the same integers for an update as much longer.
      const far = atClip(rules, 5);
      expect(far.fixed.scale).toBeCloseTo(rules.fixed.scale / 10, 6);
      expect(far.fixed.qMax).toBe(rules.fixed.qMax);
    },
  );

  test("the share within it comes out of the sum, without noise and with that of the plan", () => {
    const { rules, grid, encode } = setting("", ADAPTIVE);
    const lengths = [0.1, 0.4, 0.6, 2];
    const exact = added(lengths.map((length) => encode(delta(length), null)));
    expect(decodeAggregate(rules, exact, 4).shareWithinClip).toBe(0.5);
    const shares = Array.from({ length: 100 }, () => {
      const noisy = added(lengths.map((length) => encode(delta(length), systemRandom())));
      return decodeAggregate(rules, noisy, 4).shareWithinClip as number;
    });
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const stddev = Math.sqrt(shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length);
    // The noise of four clients on a sum of bits that count 2 grid.bit each, over four clients.
    const expected = (grid.stddev * 2) / (2 * grid.bit) / 4;
    expect(Math.abs(mean - 0.5)).toBeLessThan((5 * expected) / Math.sqrt(100));
    expect(Math.abs(stddev / expected - 1)).toBeLessThan(0.35);
    expect(decodeAggregate(setting().rules, added([setting().encode(delta(1), null)]), 1).shareWithinClip).toBeNull();
  });

  test("a sum of bits that no cohort sends is refused, and so is a bit that no client sends", async () => {
    const { rules, encode } = setting("secureAggregation: { mode: off }", ADAPTIVE);
    const words = encode(delta(0.1), null);
    const reader = { clients: [clientName.parse("a")], pieces: () => [words] };
    await expect(judge(rules, reader)).resolves.toMatchObject({ weight: 1 });
    words[rules.layout.words - 1] = 7;
    await expect(judge(rules, reader)).rejects.toMatchObject({ code: "UPDATE_IMPOSSIBLE" });
    words[rules.layout.words - 1] = 2 ** 30;
    const noisy = withNoise(rules, systemRandom);
    expect(() => decodeAggregate(noisy, words, 1)).toThrow(expect.objectContaining({ code: "AGGREGATE_RANGE" }));
  });
});
