/** What a client can do with the share that rides beside its update where a strategy scales the mean by their sum. */
import { describe, expect, test } from "@jest/globals";
import { encodeUpdate } from "../../../client/update/encode.ts";
import { decodeAggregate, type AggregateRules } from "../../../coordinator/aggregate/decode.ts";
import { judge } from "../../../coordinator/aggregate/robust/judge.ts";
import { wordsReader } from "../../../coordinator/aggregate/robust/readers.ts";
import { takeStep } from "../../../coordinator/optimizer/step.ts";
import { initialServerState } from "../../../coordinator/optimizer/server-optimizer.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { strategy, type Strategy } from "../../../shared/config/strategy.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import { fixedPoint } from "../../../shared/quantize/fixed-point.ts";
import type { Words } from "../../../shared/secagg/mask.ts";
import { trainingLayout, writeReal, writeStatistics } from "../../../shared/secagg/vector-layout.ts";
import { localScaling, SHARE, shareRange } from "../../../shared/strategies/scaling.ts";

const config = federationConfig.parse({ federation: "x", labels: { scene: ["a", "b"] } });
const { optimizer } = config.training;
const params = layoutOf([{ name: "w", shape: [2] }]);
const fednova = strategy.parse({ name: "fednova", steps: 4 });
const qfedavg = strategy.parse({ name: "qfedavg", q: 1, lossRange: [0.1, 10] });

function rulesOf(chosen: Strategy): AggregateRules {
  const size = { wordBits: 32, cohortMax: 8 } as const;
  return {
    layout: trainingLayout({ ...size, coordinates: 2 }, [SHARE]),
    fixed: fixedPoint({ ...size, maxWeight: 4, coordinateBound: 1 }),
    clipNorm: null,
    shares: shareRange(chosen, optimizer),
  };
}

/** A client that took so many steps, began with that loss, and says so. */
function honest(chosen: Strategy, steps = 4, startLoss = 1): Words {
  const delta = Float32Array.of(0.01, -0.02);
  const scaling = localScaling(chosen, optimizer, { steps, norm: 0.022, startLoss, staleness: 0 });
  const update = { delta, examples: 8, examplesSeen: 32, lossSum: 3, scaling };
  return encodeUpdate({ ...rulesOf(chosen), examplesPerWeight: 8 }, params, update).words;
}

/** The same vector with another share beside it. */
function claiming(chosen: Strategy, share: number): Words {
  const { layout } = rulesOf(chosen);
  const words = honest(chosen).slice();
  const others = { clipped: 0, examples: 8, examplesSeen: 32, ...writeReal("loss", 3) };
  writeStatistics(layout, { ...others, ...writeReal(SHARE, share) }, words);
  return words;
}

function summed(vectors: readonly Words[]): Words {
  const sum = (vectors[0] as Words).slice();
  for (const vector of vectors.slice(1)) for (const [i, word] of vector.entries()) sum[i] = (sum[i] as number) + word;
  return sum;
}

const ATTACKS = [
  ["fednova: a billion steps", fednova, 2 ** 32],
  ["fednova: no steps at all", fednova, -3],
  ["qfedavg: nearly nothing, so that the step is divided by it", qfedavg, -0.37],
] as const;

describe.each(ATTACKS)("%s", (_what, chosen, share) => {
  const rules = rulesOf(chosen);
  const others = [honest(chosen), honest(chosen), honest(chosen)];

  test("is refused in a secure sum, where nobody can say whose it is", () => {
    const sum = summed([...others, claiming(chosen, share)]);
    expect(() => decodeAggregate(rules, sum, 4)).toThrow(expect.objectContaining({ code: "AGGREGATE_RANGE" }));
  });

  test("is refused by name where single updates are visible", async () => {
    const reader = wordsReader(["site-9" as ClientName], claiming(chosen, share));
    await expect(judge(rules, reader)).rejects.toMatchObject({
      code: "UPDATE_IMPOSSIBLE",
      details: { client: "site-9" },
    });
  });
});

test("honest clients at both ends of what they can send are taken", async () => {
  for (const [chosen, vectors] of [
    [fednova, [honest(fednova, 1), honest(fednova, 100_000)]],
    [qfedavg, [honest(qfedavg, 4, 1e-9), honest(qfedavg, 4, 1e9)]],
  ] as const) {
    const rules = rulesOf(chosen);
    for (const vector of vectors) await judge(rules, wordsReader(["site-0" as ClientName], vector));
    const aggregate = decodeAggregate(rules, summed(vectors), 2);
    const after = takeStep({ ...config, strategy: chosen }, initialServerState(new Float32Array(2)), aggregate, {
      survivors: 2,
    });
    expect([...after.params].every(Number.isFinite)).toBe(true);
  }
});
