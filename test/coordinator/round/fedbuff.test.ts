/** Asynchronous rounds: a buffer is filled by whoever is ready, and slow clients' updates count less, later. */
import { describe, expect, test } from "@jest/globals";
import type { TrainingJob, TrainingResult } from "../../../client/training/trainer.ts";
import { checkFederationConfig } from "../../../coordinator/config.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { simulateFederation } from "../../../simulations/federation.ts";
import { gradientAt, QuadraticTrainer, type Quadratic } from "../../fakes/quadratic-trainer.ts";

const RATE = 0.125;
const STEPS = 3;
const F: readonly Quadratic[] = [
  { curvature: [1, 0.5], minimum: [0.5, -0.25] },
  { curvature: [0.25, 1], minimum: [-0.5, 0.5] },
  { curvature: [2, 1.5], minimum: [0.25, 0.75] },
];

/** Trains at once, but is ready only when the test says so. */
class Gated extends QuadraticTrainer {
  readonly #gate: (round: number) => Promise<void>;

  constructor(f: Quadratic, gate: (round: number) => Promise<void>) {
    super(f, STEPS, RATE);
    this.#gate = gate;
  }

  override async train(job: TrainingJob): Promise<TrainingResult> {
    const result = await super.train(job);
    await this.#gate(job.round);
    return result;
  }
}

function configOf(maxStaleness: number, rounds: number) {
  return checkFederationConfig(
    federationConfig.parse({
      federation: "buffered",
      labels: { scene: ["a", "b"], depth: { kind: "none" } },
      training: { optimizer: { name: "sgd", learningRate: RATE, decay: 0 } },
      strategy: { name: "fedbuff", buffer: 2, maxStaleness },
      schedule: { rounds, cohort: { min: 2, max: 3, overSelect: 1 }, minSurvivors: 2 },
      secureAggregation: { mode: "off", maxWeight: 1 },
      release: { dtype: "fp32" },
    }),
  ).config;
}

/** Client 2 is ready after two rounds; in round 3 client 1 waits for it to come first. */
async function simulate(maxStaleness: number) {
  const counted = new Map<string, ClientName[]>();
  const over = new Map<number, () => void>();
  const rounds = new Map([1, 2, 3, 4].map((round) => [round, new Promise<void>((done) => over.set(round, done))]));
  const until = (round: number) => rounds.get(round) ?? Promise.resolve();
  const gates = [
    async () => {},
    (round: number) => (round === 3 ? until(3) : Promise.resolve()),
    (round: number) => (round === 1 ? until(2) : until(9)),
  ];
  const trainers = F.map((f, i) => new Gated(f, gates[i] as (round: number) => Promise<void>));
  const reports: RoundReport[] = [];
  const result = await simulateFederation({
    config: configOf(maxStaleness, 3),
    trainers: new Map(trainers.map((trainer, i) => [`site-${i}` as ClientName, trainer])),
    initialParams: async () => new Float32Array(2),
    out: null,
    options: { evaluationEvery: 0, publish: false },
    observer: {
      event: (event) => {
        if (event.type !== "step") return;
        counted.set(event.signed.sid, [...(counted.get(event.signed.sid) ?? []), event.client]);
      },
      round: (report) => {
        reports.push(report);
        over.get(report.round)?.();
      },
    },
  });
  return { result, trainers, reports, counted: [...counted.values()] };
}

const trained = (f: Quadratic, start: readonly number[]): number[] => {
  let x = [...start];
  for (let i = 0; i < STEPS; i++) x = x.map((v, k) => v - RATE * (gradientAt(f, x)[k] as number));
  return x;
};

describe("fedbuff", () => {
  test("comes to what Nguyen et al. say, with one update that is two versions old", async () => {
    const { result, trainers, reports, counted } = await simulate(10);
    expect(reports.map(({ status, survivors }) => [status, survivors])).toEqual([
      ["completed", 2],
      ["completed", 2],
      ["completed", 2],
    ]);
    expect(counted.map((names) => names.toSorted())).toEqual([
      ["site-0", "site-1"],
      ["site-0", "site-1"],
      ["site-0", "site-2"],
    ]);
    // Client 2 trained once, from version 0.
    expect(trainers[2]?.rounds).toEqual([1]);
    const x = [[0, 0]];
    const begun = [
      [0, 1].map((i) => ({ i, from: 0 })),
      [0, 1].map((i) => ({ i, from: 1 })),
      [
        { i: 0, from: 2 },
        { i: 2, from: 0 },
      ],
    ];
    for (const [t, buffer] of begun.entries()) {
      const now = x[t] as number[];
      const sum = now.map((_, k) =>
        buffer.reduce((total, { i, from }) => {
          const start = x[from] as number[];
          const delta = (trained(F[i] as Quadratic, start)[k] as number) - (start[k] as number);
          return total + delta / Math.sqrt(1 + t - from);
        }, 0),
      );
      x.push(now.map((v, k) => v + (sum[k] as number) / 2));
    }
    for (const [k, value] of (x[3] as number[]).entries()) expect(result.params[k]).toBeCloseTo(value, 4);
  });

  test("what is older than allowed is begun anew", async () => {
    const { trainers } = await simulate(0);
    expect(trainers[2]?.rounds.length).toBeGreaterThan(1);
  });

  test("is refused under secure aggregation, and with a buffer that no cohort fills", () => {
    const base = { federation: "x", labels: { scene: ["a", "b"] }, strategy: { name: "fedbuff", buffer: 3 } };
    expect(() => checkFederationConfig(federationConfig.parse(base))).toThrow(/secureAggregation.mode/);
    const large = { ...base, strategy: { name: "fedbuff", buffer: 65 }, secureAggregation: { mode: "off" } };
    expect(() => checkFederationConfig(federationConfig.parse(large))).toThrow(/strategy.buffer/);
  });
});
