/**
 * Strategies whose sites keep something, where rounds come to nothing: what a site keeps and what the server adds up must
 * stay in step, or learning stands still for good.
 */
import { afterEach, describe, expect, test } from "@jest/globals";
import { correctingDrift } from "../../../client/training/drift.ts";
import type { Trainer } from "../../../client/training/trainer.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { Observer } from "../../../coordinator/round/parts.ts";
import { CodedError } from "../../../shared/errors.ts";
import { QuadraticTrainer, type Quadratic } from "../../fakes/quadratic-trainer.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";

const RATE = 0.125;
const F: readonly Quadratic[] = [
  { curvature: [1, 0.5], minimum: [0.5, -0.25] },
  { curvature: [0.25, 1], minimum: [-0.5, 0.5] },
  { curvature: [2, 1.5], minimum: [0.25, 0.25] },
  { curvature: [1, 1], minimum: [0, -0.5] },
];
/** Where the mean of the losses is least. */
const BEST = [0, 1].map((k) => {
  const pull = F.reduce((sum, f) => sum + (f.curvature[k] as number) * (f.minimum[k] as number), 0);
  return pull / F.reduce((sum, f) => sum + (f.curvature[k] as number), 0);
});

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

function federation(strategy: object, rounds: number, parts: Partial<RoundWorldParts> = {}): RoundWorld {
  const world = new RoundWorld({
    heartbeatMs: 50,
    ...parts,
    config: {
      labels: { scene: ["a", "b"], depth: { kind: "none" } },
      training: { localSteps: 4, optimizer: { name: "sgd", learningRate: RATE, decay: 0 } },
      strategy,
      schedule: { rounds, cohort: { min: 3, max: 4, overSelect: 1 }, minSurvivors: 3 },
      secureAggregation: { mode: "off", maxWeight: 1 },
      release: { dtype: "fp32" },
    },
    // A control variate begins with nothing.
    begin: (length) => new Float32Array(length),
    options: { evaluationEvery: 0, publish: false },
    trainers: ({ strategy: chosen, training }) =>
      Object.fromEntries(
        F.map((f, i): [string, Trainer] => {
          const plain = new QuadraticTrainer(f, 4, RATE, chosen.name === "feddyn" ? chosen.alpha : 0);
          return [`site-${i}`, correctingDrift(plain, chosen, training.optimizer)];
        }),
      ),
  });
  worlds.push(world);
  return world;
}

const paramsOf = (world: RoundWorld): number[] => [...(world.chain.newest?.params ?? [])].slice(0, 2);

/** Every vector of round 1 is damaged where it is stored: the round is trained and sent, and comes to nothing. */
function firstRoundLost(): Partial<RoundWorldParts> & { readonly lost: Set<string> } {
  const lost = new Set<string>();
  const observer: Observer = {
    event: (_event, state) => {
      const sum = currentSum(state);
      if (sum?.session.round !== 1 || !("inputs" in sum)) return;
      for (const input of Object.values(sum.inputs)) if (input !== undefined) lost.add(input.vector);
    },
  };
  return {
    lost,
    observer,
    blobs: (inner) => ({
      put: (bytes) => inner.put(bytes),
      has: (hash) => inner.has(hash),
      get: async (hash) => {
        if (lost.has(hash)) throw new CodedError("STORE_CORRUPT", "damaged");
        return inner.get(hash);
      },
      read: (hash) => inner.read(hash),
      delete: (hash) => inner.delete(hash),
    }),
  };
}

describe.each([
  ["scaffold", { name: "scaffold" }],
  ["feddyn", { name: "feddyn", alpha: 0.5 }],
] as const)("%s", (_name, strategy) => {
  test("goes on after a round that came to nothing as if it had never been", async () => {
    const calm = federation(strategy, 12);
    await calm.run();
    const { lost, ...parts } = firstRoundLost();
    const broken = federation(strategy, 12, parts);
    await broken.run();
    expect(lost.size).toBe(4);
    expect(broken.chain.newest?.version).toBe(calm.chain.newest?.version);
    for (const [k, value] of paramsOf(calm).entries()) expect(paramsOf(broken)[k]).toBeCloseTo(value, 6);
  });
});

test.each([4, null])(
  "scaffold reaches the optimum although a site was killed with its first vector on the way, population %s",
  async (population) => {
    let killed = false;
    const world = federation({ name: "scaffold", population }, 60, {
      network: {
        toCoordinator: (client, message) => {
          const sends = message.type === "step" && message.signed.step === "masked-input";
          if (killed || client !== "site-3" || !sends) return message;
          killed = true;
          setTimeout(() => {
            world.leave("site-3");
            world.join("site-3");
          });
          return null;
        },
      },
    });
    await world.run();
    expect(killed).toBe(true);
    const away = Math.hypot(...BEST.map((best, k) => (paramsOf(world)[k] as number) - best));
    expect(away).toBeLessThan(1e-3);
  },
);
