/** A trusted coordinator with a robust rule: the same bits by box and by hand, and a bad client that gets nowhere. */
import { afterEach, describe, expect, test } from "@jest/globals";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import type { FederationConfig } from "../../../shared/config/federation.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { l2Norm } from "../../../shared/privacy/clip.ts";
import { simulateFederation } from "../../../simulations/federation.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const CLIENTS = 7;

function settings(aggregation: object) {
  return {
    schedule: { rounds: 2, cohort: { min: CLIENTS, max: 16, overSelect: 1 }, minSurvivors: CLIENTS },
    secureAggregation: { mode: "off" },
    aggregation,
  };
}

/** The first `bad` clients send nearly all that fixed point covers, against their own training. */
function someBad(config: FederationConfig, bad: number): Record<string, FakeTrainer> {
  return Object.fromEntries(
    Array.from({ length: CLIENTS }, (_, i) => {
      const trainer = new FakeTrainer(config.labels);
      if (i < bad) trainer.spoil = (result) => ({ ...result, delta: result.delta.map((x) => (x > 0 ? -0.9 : 0.9)) });
      return [`site-${i}`, trainer];
    }),
  );
}

async function boxed(aggregation: object, bad = 1): Promise<Float32Array> {
  const world = new RoundWorld({ config: settings(aggregation), trainers: (config) => someBad(config, bad) });
  worlds.push(world);
  expect((await world.run()).code).toBe("DONE");
  const { newest } = world.chain;
  if (newest === null) throw new Error("no version");
  return newest.params;
}

describe.each(["krum", "bulyan", "median", "centredClipping"])("%s", (rule) => {
  test("comes to the same bits in one process as with boxed vectors", async () => {
    const aggregation = { rule };
    const world = new RoundWorld({ config: settings(aggregation), trainers: (config) => someBad(config, 1) });
    worlds.push(world);
    expect((await world.run()).code).toBe("DONE");
    const trainers = new Map(Object.entries(someBad(world.config, 1)) as [ClientName, FakeTrainer][]);
    const reports: RoundReport[] = [];
    const { paramsHash } = await simulateFederation({
      config: world.config,
      trainers,
      initialParams: async () => new Float32Array(42).fill(0.125),
      out: null,
      options: { publish: false },
      observer: { round: (report) => void reports.push(report) },
    });
    expect(paramsHash).toBe(world.chain.newest?.link.paramsHash);
    expect(reports.map(({ status }) => status)).toEqual(["completed", "completed", "completed"]);
    expect(reports.every(({ survivors }) => survivors === CLIENTS)).toBe(true);
  });
});

test("a bad client moves the mean, and hardly the median", async () => {
  const away = (a: Float32Array, b: Float32Array) => l2Norm(a.map((x, i) => x - (b[i] as number)));
  const honest = await boxed({ rule: "mean" }, 0);
  const mean = await boxed({ rule: "mean" });
  const median = await boxed({ rule: "median" });
  expect(away(median, honest)).toBeLessThan(away(mean, honest) / 2);
});
