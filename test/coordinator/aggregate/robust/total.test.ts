/** The robust counterpart of a sum over real vectors: encoded as clients do, read from boxes or memory, and judged. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeUpdate } from "../../../../client/update/encode.ts";
import { decodeAggregate, type AggregateRules } from "../../../../coordinator/aggregate/decode.ts";
import type { VectorReader } from "../../../../coordinator/aggregate/robust/judge.ts";
import { sealedReader, wordsReader } from "../../../../coordinator/aggregate/robust/readers.ts";
import { robustRule, type RobustRule } from "../../../../coordinator/aggregate/robust/rules.ts";
import { robustTotal } from "../../../../coordinator/aggregate/robust/total.ts";
import { memorySource } from "../../../../coordinator/aggregate/secure-sum.ts";
import { aggregation } from "../../../../shared/config/aggregation.ts";
import type { ClientName } from "../../../../shared/ids.ts";
import { NodeCrypto } from "../../../../shared/node/crypto.ts";
import { layoutOf } from "../../../../shared/params/layout.ts";
import { fixedPoint } from "../../../../shared/quantize/fixed-point.ts";
import { bytesOf, type WordBits, type Words } from "../../../../shared/secagg/mask.ts";
import { sealVector } from "../../../../shared/secagg/sealed.ts";
import { trainingLayout } from "../../../../shared/secagg/vector-layout.ts";
import { fixedSecureRng } from "../../../fakes/secagg.ts";
import * as slow from "../../../reference/robust.ts";

const crypto = new NodeCrypto();
const key = crypto.agreementKey(new Uint8Array(32).fill(4));
const sid = "5e".repeat(32);
const name = (i: number) => `site-${i}` as ClientName;
const MEDIAN = robustRule(aggregation.parse({ rule: "median" })) as RobustRule;

function rulesFor(coordinates: number, wordBits: WordBits = 32, clipNorm: number | null = null): AggregateRules {
  const size = { wordBits, cohortMax: 8, maxWeight: 16 };
  return {
    layout: trainingLayout({ wordBits, cohortMax: 8, coordinates }),
    fixed: fixedPoint({ ...size, coordinateBound: 1 }),
    clipNorm,
  };
}

function encoded(rules: AggregateRules, delta: Float32Array, examples: number): Words {
  const layout = layoutOf([{ name: "w", shape: [delta.length] }]);
  const update = { delta, examples, examplesSeen: 2 * examples, lossSum: 3 };
  return encodeUpdate({ ...rules, examplesPerWeight: 2 }, layout, update).words;
}

function sealed(i: number, words: Words): VectorReader {
  const box = sealVector(crypto, fixedSecureRng(crypto, `box ${i}`), sid, name(i), key.publicKey, bytesOf(words));
  const bits = words instanceof Uint32Array ? 32 : 16;
  return sealedReader(crypto, { sid, client: name(i), key }, bits, () => {
    let at = 0;
    return {
      byteLength: box.length,
      read: (_at, length) => {
        const part = box.subarray(at, at + length);
        at += length;
        return part;
      },
    };
  });
}

describe("the median of encoded updates", () => {
  test("is that of the updates, whatever they weigh, and what rode with them is summed", async () => {
    const value = fc.integer({ min: -1000, max: 1000 }).map((x) => x / 1001);
    const site = fc.record({
      delta: fc.array(value, { minLength: 5, maxLength: 5 }),
      examples: fc.integer({ min: 1, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(site, { minLength: 3, maxLength: 8 }), async (sites) => {
        const rules = rulesFor(5);
        const readers = sites.map(({ delta, examples }, i) =>
          wordsReader([name(i)], encoded(rules, Float32Array.from(delta), examples)),
        );
        const { words, survivors } = await robustTotal(rules, MEDIAN, readers, 3);
        const { meanDelta, examples, loss } = decodeAggregate(rules, words, survivors.length);
        const expected = slow.median(sites.map(({ delta }) => delta));
        for (const [k, x] of expected.entries()) expect(meanDelta[k]).toBeCloseTo(x, 5);
        expect(examples).toBe(sites.reduce((sum, one) => sum + one.examples, 0));
        expect(loss).toBeCloseTo((3 * sites.length) / (2 * examples), 5);
      }),
      { numRuns: 40 },
    );
  });

  test.each([32, 16] as const)("is the same from boxes of many chunks as from memory, %i bits", async (bits) => {
    const rules = rulesFor(70_001, bits);
    const all = [1, 2, 3, 4].map((i) =>
      encoded(
        rules,
        Float32Array.from({ length: 70_001 }, (_, k) => Math.sin(i * 7 + k * i)),
        5 * i,
      ),
    );
    const fromMemory = await robustTotal(
      rules,
      MEDIAN,
      all.map((words, i) => wordsReader([name(i)], words)),
      3,
    );
    const fromBoxes = await robustTotal(
      rules,
      MEDIAN,
      all.map((words, i) => sealed(i, words)),
      3,
    );
    expect(Buffer.compare(bytesOf(fromBoxes.words), bytesOf(fromMemory.words))).toBe(0);
    expect(() => decodeAggregate(rules, fromMemory.words, 4)).not.toThrow();
  });
});

describe("an update that no honest client sends is left out, with its sender's name", () => {
  const rules = rulesFor(5, 32, 0.5);
  const weightAt = rules.layout.weightAt as number;
  const honest = (i: number) => encoded(rules, new Float32Array(5).fill(0.1 + i / 100), 4);
  const spoiled = (change: (words: Words) => void): Words => {
    const words = honest(1);
    change(words);
    return words;
  };
  test.each([
    ["a weight of nothing", "UPDATE_IMPOSSIBLE", spoiled((words) => (words[weightAt] = 0))],
    ["too large a weight", "UPDATE_IMPOSSIBLE", spoiled((words) => (words[weightAt] = 17))],
    ["a coordinate beyond its weight", "UPDATE_IMPOSSIBLE", spoiled((words) => (words[2] = rules.fixed.qMax * 2 + 1))],
    ["a negative one", "UPDATE_IMPOSSIBLE", spoiled((words) => (words[2] = 2 ** 32 - rules.fixed.qMax * 2 - 1))],
    ["a norm beyond the clipping norm", "UPDATE_IMPOSSIBLE", spoiled((words) => words.fill(rules.fixed.qMax, 0, 5))],
    ["a statistic that overflows", "UPDATE_IMPOSSIBLE", spoiled((words) => (words[weightAt + 1] = 2 ** 31))],
    ["a vector that is too short", "UPDATE_SHAPE", honest(1).slice(1)],
  ])("%s", async (_what, code, words) => {
    const readers = [words, honest(2), honest(3), honest(4)].map((one, i) => wordsReader([name(i)], one));
    const { survivors, rejected } = await robustTotal(rules, MEDIAN, readers, 3);
    expect(survivors).toEqual([name(1), name(2), name(3)]);
    expect(rejected.get(name(0))).toMatchObject({ code, details: { client: name(0) } });
    await expect(robustTotal(rules, MEDIAN, readers, 4)).rejects.toMatchObject({ code: "ROUND_TOO_FEW" });
  });

  test("a box that does not open", async () => {
    const readers = [1, 2, 3, 4].map((i) => sealed(i, honest(i)));
    const broken = sealedReader(crypto, { sid: "00".repeat(32), client: name(9), key }, 32, () =>
      memorySource(honest(1)),
    );
    const { rejected } = await robustTotal(rules, MEDIAN, [...readers, broken], 3);
    expect(rejected.get(name(9))?.code).toBe("WIRE_HASH");
  });
});
