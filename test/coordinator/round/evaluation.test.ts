/** Clients that cannot score: named in the report, and nobody waits for what cannot come. */
import { afterEach, expect, test } from "@jest/globals";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import { fakeRules, RoundTable } from "../../fakes/round-table.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function round(size: number, failing: readonly number[], parts: Partial<RoundWorldParts> = {}) {
  const reports: RoundReport[] = [];
  const world = new RoundWorld({
    config: { schedule: { rounds: 1, cohort: { min: 3 } } },
    trainers: ({ labels }) => {
      const trainers = Array.from({ length: size }, () => new FakeTrainer(labels));
      for (const i of failing) {
        (trainers[i] as FakeTrainer).evaluate = async () => {
          throw new Error("no pictures");
        };
      }
      return Object.fromEntries(trainers.map((trainer, i) => [`site-${i}`, trainer]));
    },
    ...parts,
    observer: { ...parts.observer, round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  expect(await world.run()).toMatchObject({ code: "DONE" });
  return reports;
}

const LEFT_OUT = {
  client: "site-1",
  code: "TRAINING_FAILED",
  message: "in the evaluation: site-1: no pictures",
};

test("one of four that fails only in the evaluation is named; the three others' scores count", async () => {
  const reports = await round(4, [1]);
  expect(reports.map(({ evaluated }) => evaluated)).toEqual([3, 3]);
  expect(reports[1]).toMatchObject({ status: "completed", survivors: 4, excluded: [LEFT_OUT] });
});

test("with too few left the version goes out unevaluated at once, not after the patience of ten minutes", async () => {
  const reports = await round(3, [1]);
  expect(reports[1]).toMatchObject({ status: "completed", survivors: 3, evaluated: 0, excluded: [LEFT_OUT] });
}, 10_000);

test.each(["committed", "close"])(
  "within one process one that has left is not waited for either (after %s)",
  async (when) => {
    let world: RoundWorld | null = null;
    const reports: RoundReport[] = [];
    world = new RoundWorld({
      config: { schedule: { rounds: 1, cohort: { min: 3 } } },
      trainers: ({ labels }) => Object.fromEntries([0, 1, 2].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
      observer: {
        event: (event) => {
          const { current } = (world as RoundWorld).coordinator.state;
          const unmasking = current.phase === "evaluating" && current.sum?.phase === "unmasking";
          const now = when === "committed" || (unmasking && current.facts.round === 1);
          if (event.type === when && now) world?.leave("site-2");
        },
        round: (report) => void reports.push(report),
      },
    });
    worlds.push(world);
    expect(await world.run()).toMatchObject({ code: "DONE" });
    expect(reports[1]).toMatchObject({ status: "completed", survivors: 3, evaluated: 0 });
  },
  10_000,
);

test("between machines one that is away may come back within the patience; one that said no may not", () => {
  const table = new RoundTable(fakeRules({ cohort: { fraction: 1, min: 3, max: 16, overSelect: 1 } }));
  table.state = { ...table.state, round: 0 };
  table.come("a", "b", "c");
  table.until("evaluation collecting-masked-inputs", "a", "b", "c");
  const sid = currentSum(table.state)?.sid as NonNullable<ReturnType<typeof currentSum>>["sid"];
  table.go("c");
  table.answer("a", "b");
  for (let i = 0; i < 6; i++) table.pass(1_000, ["a", "b"]);
  // The attempt without it has failed; the next waits for it.
  expect(table.phase).toBe("evaluating");
  for (let i = 0; i < 60; i++) table.pass(1_000, ["a", "b"]);
  expect(table.phase).toBe("evaluating");
  table.come("c");
  expect(table.phase).toBe("evaluation advertising-keys");
  expect(currentSum(table.state)?.sid).not.toBe(sid);
  const again = currentSum(table.state)?.sid as typeof sid;
  const reason = { code: "TRAINING_FAILED", message: "no pictures" };
  table.feed({ type: "exclude", at: table.now, client: "c" as ClientName, sid: again, reason, lasting: true });
  for (let i = 0; i < 6 && table.phase !== "releasing"; i++) table.pass(1_000, ["a", "b", "c"]);
  expect(table.phase).toBe("releasing");
});
