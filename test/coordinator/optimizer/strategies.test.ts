/** Whole federations of shipped code, with real masks, against the algorithms as their papers list them. */
import { describe, expect, test } from "@jest/globals";
import { correctingDrift } from "../../../client/training/drift.ts";
import type { Trainer } from "../../../client/training/trainer.ts";
import { checkFederationConfig } from "../../../coordinator/config.ts";
import { begunWith } from "../../../coordinator/release/initial-model.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { simulateFederation } from "../../../simulations/federation.ts";
import { QuadraticTrainer, type Quadratic } from "../../fakes/quadratic-trainer.ts";
import * as slow from "../../reference/strategies.ts";

const RATE = 0.125;
const F: readonly Quadratic[] = [
  { curvature: [1, 0.5, 2], minimum: [0.5, -0.25, 0.25] },
  { curvature: [0.25, 1, 1], minimum: [-0.5, 0.5, 0] },
  { curvature: [2, 1.5, 0.5], minimum: [0.25, 0.25, -0.75] },
];
const problem = (steps: readonly number[], rounds = 6): slow.Problem => ({
  clients: F.map((f, i) => ({ f, steps: steps[i] as number })),
  rate: RATE,
  rounds,
});

async function federated(strategy: object, { clients, rounds }: slow.Problem, mode: string): Promise<Float32Array> {
  const { config } = checkFederationConfig(
    federationConfig.parse({
      federation: "papers",
      labels: { scene: ["a", "b"], depth: { kind: "none" } },
      training: { localSteps: 4, optimizer: { name: "sgd", learningRate: RATE, decay: 0 } },
      strategy,
      schedule: { rounds, cohort: { min: 3, max: 3, overSelect: 1 }, minSurvivors: 3 },
      secureAggregation: { mode, maxWeight: 1 },
      release: { dtype: "fp32" },
    }),
  );
  const { optimizer, proximal } = config.training;
  const trainers = clients.map(({ f, steps }, i): [ClientName, Trainer] => {
    const plain = new QuadraticTrainer(f, steps, RATE, proximal);
    return [`site-${i}` as ClientName, correctingDrift(plain, config.strategy, optimizer)];
  });
  const layout = new QuadraticTrainer(F[0] as Quadratic, 1, RATE).layout;
  const begin = begunWith({ layout, params: async () => new Float32Array(3) }, config.strategy);
  const { params, reason } = await simulateFederation({
    config,
    trainers: new Map(trainers),
    initialParams: begin.params,
    out: null,
    options: { evaluationEvery: 0, publish: false },
  });
  expect(reason.code).toBe("DONE");
  return params.subarray(0, 3);
}

describe.each(["malicious", "off"])("secure aggregation %s", (mode) => {
  test.each([
    ["fednova", { name: "fednova", steps: 4 }, [1, 4, 9], (p: slow.Problem) => slow.fednova(p)],
    ["qfedavg", { name: "qfedavg", q: 2, lossRange: [1e-4, 4] }, [4, 4, 4], (p: slow.Problem) => slow.qfedavg(p, 2)],
    ["scaffold", { name: "scaffold" }, [2, 4, 6], (p: slow.Problem) => slow.scaffold(p)],
    ["feddyn", { name: "feddyn", alpha: 0.5 }, [4, 4, 4], (p: slow.Problem) => slow.feddyn(p, 0.5)],
  ] as const)("%s comes to what its paper says", async (_name, strategy, steps, twin) => {
    const given = problem(steps);
    const params = await federated(strategy, given, mode);
    for (const [k, x] of twin(given).entries()) expect(params[k]).toBeCloseTo(x, 4);
  });
});

test("scaffold ends where the mean of the losses is least; fedavg, with unequal steps, does not", async () => {
  const best = [0, 1, 2].map((k) => {
    const weights = F.map(({ curvature }) => curvature[k] as number);
    const pull = F.reduce((sum, { minimum }, i) => sum + (weights[i] as number) * (minimum[k] as number), 0);
    return pull / weights.reduce((sum, w) => sum + w, 0);
  });
  const away = (x: Float32Array) => Math.hypot(...best.map((b, k) => (x[k] as number) - b));
  const given = problem([2, 4, 12], 40);
  expect(away(await federated({ name: "scaffold" }, given, "off"))).toBeLessThan(1e-3);
  expect(away(await federated({ name: "fedavg" }, given, "off"))).toBeGreaterThan(0.02);
});
