/** Each robust rule against its slow twin, and what its paper promises of it. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { aggregateRobustly, type Updates } from "../../../../coordinator/aggregate/robust/aggregate.ts";
import { robustRule, type RobustRule } from "../../../../coordinator/aggregate/robust/rules.ts";
import { aggregation, updatesNeeded, type Aggregation } from "../../../../shared/config/aggregation.ts";
import * as slow from "../../../reference/robust.ts";

type Vector = readonly number[];

const CASES: readonly { given: object; twin: (xs: readonly Vector[]) => number[] }[] = [
  { given: { rule: "krum", attackers: 2 }, twin: (xs) => slow.multiKrum(xs, 2, 1) },
  { given: { rule: "multiKrum", attackers: 2 }, twin: (xs) => slow.multiKrum(xs, 2, xs.length - 4) },
  { given: { rule: "multiKrum", attackers: 2, keep: 3 }, twin: (xs) => slow.multiKrum(xs, 2, 3) },
  { given: { rule: "bulyan", attackers: 2 }, twin: (xs) => slow.bulyan(xs, 2) },
  { given: { rule: "median" }, twin: slow.median },
  { given: { rule: "trimmedMean", attackers: 2 }, twin: (xs) => slow.trimmedMean(xs, 2) },
  { given: { rule: "geometricMedian", iterations: 9 }, twin: (xs) => slow.geometricMedian(xs, 9, 1e-6) },
  { given: { rule: "normClipping" }, twin: (xs) => slow.normClipping(xs, null) },
  { given: { rule: "normClipping", norm: 1.5 }, twin: (xs) => slow.normClipping(xs, 1.5) },
  { given: { rule: "centredClipping" }, twin: (xs) => slow.centredClipping(xs, null, 5) },
  { given: { rule: "centredClipping", radius: 0.7, iterations: 3 }, twin: (xs) => slow.centredClipping(xs, 0.7, 3) },
];
const RULES = CASES.map(({ given, twin }) => ({ name: JSON.stringify(given), given: aggregation.parse(given), twin }));

function inBlocks(xs: readonly Vector[], size: number): Updates {
  const length = (xs[0] as Vector).length;
  return {
    count: xs.length,
    async *blocks() {
      for (let at = 0; at < length; at += size) {
        yield { at, parts: xs.map((x) => Float32Array.from(x.slice(at, at + size))) };
      }
    },
  };
}

async function run(given: Aggregation, xs: readonly Vector[], size = 3): Promise<number[]> {
  const out: number[] = [];
  await aggregateRobustly(robustRule(given) as RobustRule, inBlocks(xs, size), (at, values) => {
    for (const [k, value] of values.entries()) out[at + k] = value;
  });
  return out;
}

/** Numbers that float32 holds exactly, so that both twins are given the same. */
const value = fc.integer({ min: -4096, max: 4096 }).map((x) => x / 1024);
const vectors = (least: number, most = least + 5) =>
  fc.array(fc.array(value, { minLength: 7, maxLength: 7 }), { minLength: least, maxLength: most });
const near = (got: Vector, expected: Vector, digits = 4): void => {
  for (const [k, x] of expected.entries()) expect(got[k]).toBeCloseTo(x, digits);
};
/** What decides between equals is told apart: vectors of one Krum score are a measure-zero case. */
const distinct = (xs: readonly Vector[]): Vector[] =>
  xs.map((x, i) => x.map((v, k) => v + ((i * 37 + k * 11) % 64) / 8192));

describe.each(RULES)("$name", ({ given, twin }) => {
  const least = updatesNeeded(given);

  test("agrees with its slow twin", async () => {
    await fc.assert(
      fc.asyncProperty(vectors(Math.max(least, 3)), async (drawn) => {
        const xs = distinct(drawn);
        near(await run(given, xs), twin(xs));
      }),
      { numRuns: 60 },
    );
  });

  test("does not depend on the order of the clients, or on the blocks", async () => {
    await fc.assert(
      fc.asyncProperty(vectors(Math.max(least, 3)), fc.integer({ min: 1, max: 9 }), async (drawn, shift) => {
        const xs = distinct(drawn);
        const turned = [...xs.slice(shift % xs.length), ...xs.slice(0, shift % xs.length)].toReversed();
        near(await run(given, turned, 7), await run(given, xs, 2));
      }),
      { numRuns: 40 },
    );
  });

  test("gives what all send when all send the same", async () => {
    const norm = "norm" in given && given.norm !== null ? given.norm : null;
    if ("radius" in given && given.radius !== null) return;
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 5, maxLength: 5 }), async (x) => {
        const length = Math.hypot(...x);
        const factor = norm === null ? 1 : Math.min(1, norm / Math.max(length, 1e-12));
        const all = Array.from({ length: Math.max(least, 5) }, () => x);
        near(
          await run(given, all),
          x.map((v) => v * factor),
          4,
        );
      }),
      { numRuns: 30 },
    );
  });

  test("stays near honest updates, however far bad ones are", async () => {
    await fc.assert(
      fc.asyncProperty(
        vectors(Math.max(least, 9) - 2, Math.max(least, 9) - 2),
        fc.constantFrom(1e2, 1e4),
        fc.boolean(),
        async (honest, far, opposite) => {
          const liars = [1, opposite ? -1 : 1].map((sign) => honest[0]?.map(() => sign * far) as Vector);
          const got = await run(given, [...liars, ...honest]);
          const reach = Math.max(...honest.flat().map(Math.abs));
          // No rule here lets two liars of nine or more move a coordinate further than honest ones are from each other.
          for (const x of got) expect(Math.abs(x)).toBeLessThanOrEqual(4 * reach + 0.01);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("without attackers", () => {
  test("clipping that clips nothing and keeping all are the mean", async () => {
    const xs = distinct([
      [1, 2, 3],
      [0, -1, 2],
      [4, 0, 1],
      [1, 1, 1],
      [2, 2, 0],
    ]);
    const mean = slow.mean(xs);
    near(await run(aggregation.parse({ rule: "normClipping", norm: 100 }), xs), mean);
    near(await run(aggregation.parse({ rule: "centredClipping", radius: 100 }), xs), mean);
    near(await run({ rule: "multiKrum", attackers: 1, keep: 5 }, xs), mean);
    near(await run({ rule: "trimmedMean", attackers: 0 }, xs), mean);
  });

  test("the mean of the same updates follows a liar anywhere", () => {
    expect(slow.mean([[1e6], [1], [1]])[0]).toBeGreaterThan(1e5);
  });
});
