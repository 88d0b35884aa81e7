/** Rounds whose groups are summed securely: real clients, real masks, blobs and memory. */
import { afterEach, describe, expect, test } from "@jest/globals";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import { federationConfig, type FederationConfig } from "../../../shared/config/federation.ts";
import { planOf } from "../../../shared/config/plan.ts";
import { sitePolicy } from "../../../shared/config/site.ts";
import { planRefusals } from "../../../client/policy/plan-policy.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { l2Norm } from "../../../shared/privacy/clip.ts";
import { CheckedSession, readTranscript } from "../../../shared/transcript/session.ts";
import { simulateFederation } from "../../../simulations/federation.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const settings = (clients: number, groups: object | null = { size: 3 }) => ({
  schedule: { rounds: 1, cohort: { min: 9, max: 16, overSelect: 1 }, minSurvivors: clients },
  secureAggregation: groups === null ? { mode: "off" } : { mode: "malicious", groups },
  aggregation: groups === null ? { rule: "mean" } : { rule: "median" },
});

function trainersOf(config: FederationConfig, clients: number, bad = 0): Record<string, FakeTrainer> {
  return Object.fromEntries(
    Array.from({ length: clients }, (_, i) => {
      const trainer = new FakeTrainer(config.labels);
      if (i < bad) trainer.spoil = (result) => ({ ...result, delta: result.delta.map(() => 0.9) });
      return [`site-${i}`, trainer];
    }),
  );
}

describe("the median of three groups", () => {
  test("is the same in one process and with blobs, and moves little with one bad client", async () => {
    const world = new RoundWorld({ config: settings(9), trainers: (config) => trainersOf(config, 9, 1) });
    worlds.push(world);
    expect((await world.run()).code).toBe("DONE");
    const text = world.transcripts.get("0001-training-1") as string;
    const keys = { federation: null, authorityKey: world.authority.publicKey, coordinatorKey: null };
    const session = new CheckedSession(new NodeCrypto(), keys, readTranscript(text));
    for (const [, check] of session.checks()) check();
    expect(new Set(session.inputs().map(({ sharers }) => sharers?.length))).toEqual(new Set([64]));
    const simulated = async (bad: number, groups: object | null = { size: 3 }) => {
      const config = federationConfig.parse({ ...world.config, ...settings(9, groups) });
      const { params, paramsHash } = await simulateFederation({
        config,
        trainers: new Map(Object.entries(trainersOf(config, 9, bad)) as [ClientName, FakeTrainer][]),
        initialParams: async () => new Float32Array(42).fill(0.125),
        out: null,
        options: { publish: false },
      });
      return { params, paramsHash };
    };
    const same = await simulated(1);
    expect(same.paramsHash).toBe(world.chain.newest?.link.paramsHash);
    const honest = await simulated(0);
    const plain = await simulated(0, null);
    const moved = await simulated(1, null);
    const away = (a: Float32Array, b: Float32Array) => l2Norm(a.map((x, i) => x - (b[i] as number)));
    expect(away(same.params, honest.params)).toBeLessThan(away(moved.params, plain.params));
  }, 20_000);

  test("goes on without a client that a group can spare, and begins anew where it cannot", async () => {
    for (const [minSurvivors, attempts, phase] of [
      [3, 1, "collecting-masked-inputs"],
      [4, 2, "collecting-masked-inputs"],
      [4, 2, "sharing-keys"],
    ] as const) {
      const reports: RoundReport[] = [];
      const gone = new Set<string>();
      const world: RoundWorld = new RoundWorld({
        config: settings(11, { size: 4, minSurvivors }),
        trainers: (config) => trainersOf(config, 12),
        observer: {
          event: (_event, state) => {
            const sum = currentSum(state);
            if (sum?.phase !== phase || sum.session.purpose !== "training" || gone.size > 0) return;
            gone.add("site-5");
            world.leave("site-5");
          },
          round: (report) => void reports.push(report),
        },
      });
      worlds.push(world);
      const reason = await world.run();
      expect([reason.code, reports.at(-1)?.survivors]).toEqual(["DONE", 11]);
      expect(reports.at(-1)?.attempts).toBe(attempts);
    }
  }, 30_000);
});

test("a site refuses plans whose groups are smaller than it demands", () => {
  const labels = { scene: ["a", "b"], depth: { kind: "none" } };
  const plan = planOf(
    federationConfig.parse({ federation: "x", labels, ...settings(9, { size: 5, minSurvivors: 4 }) }),
  );
  const refused = (minGroup: number) => planRefusals(sitePolicy.parse({ minGroup }), plan).map(({ code }) => code);
  expect(refused(4)).toEqual([]);
  expect(refused(5)).toEqual(["POLICY_MIN_GROUP"]);
});
