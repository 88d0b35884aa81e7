/** What one enrolled client can try against the whole federation, past the shipped client; and what a restart must not undo. */
import { afterEach, describe, expect, test } from "@jest/globals";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import type { FederationState } from "../../../coordinator/round/state.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { BlobStore } from "../../../coordinator/store/port.ts";
import type { CoordinatorTransportEvents } from "../../../coordinator/transport/port.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { slotValues } from "../../../models/metrics/statistics.ts";
import { fakeRules, RoundTable } from "../../fakes/round-table.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const BAD = "site-0" as ClientName;

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

interface Told {
  readonly world: RoundWorld;
  readonly trainers: Record<string, FakeTrainer>;
  readonly reports: RoundReport[];
  /** The coordinator's side of the transport. */
  readonly events: () => CoordinatorTransportEvents;
}

function federation(parts: Partial<RoundWorldParts>, watch: (state: FederationState) => void = () => {}): Told {
  const reports: RoundReport[] = [];
  const trainers: Record<string, FakeTrainer> = {};
  const world = new RoundWorld({
    trainers: ({ labels }) => {
      for (let i = 0; i < 4; i++) trainers[`site-${i}`] = new FakeTrainer(labels);
      return trainers;
    },
    ...parts,
    observer: { event: (_event, state) => watch(state), round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  let held: CoordinatorTransportEvents | null = null;
  const { network } = world;
  const coordinator = network.coordinator.bind(network);
  network.coordinator = () => {
    const transport = coordinator();
    return {
      ...transport,
      start: (events) => {
        held = events;
        return transport.start(events);
      },
    };
  };
  const events = () => {
    if (held === null) throw new Error("the coordinator has not started");
    return held;
  };
  return { world, trainers, reports, events };
}

describe("one client alone", () => {
  test("cannot have the federation's own blobs thrown away by uploading them as its vector", async () => {
    const tried = new Set<string>();
    const told = federation({ config: { schedule: { rounds: 3, cohort: { min: 3 } } } }, (state) => {
      const sum = currentSum(state);
      if (sum?.phase !== "collecting-masked-inputs" || sum.session.purpose !== "training") return;
      // Public: every client downloads them. The server's state is not, but its hash stands in the transcript.
      const links = told.world.chain.linksAfter(-1);
      const targets = [
        ...links.flatMap(({ update, keyframe }) => [update, keyframe]),
        { sha256: state.serverStates[0] },
      ];
      for (const target of targets) {
        if (target?.sha256 === undefined || tried.has(target.sha256)) continue;
        const { sha256 } = target;
        if (told.events().uploadLimit(BAD, sum.sid, sha256) === null) continue;
        tried.add(sha256);
        void told.events().uploaded(BAD, sum.sid, sha256, 100);
      }
    });
    const { world } = told;
    expect(await world.run()).toMatchObject({ code: "DONE" });
    expect(tried.size).toBeGreaterThan(1);
    const links = world.chain.linksAfter(-1);
    for (const { update, keyframe } of links) {
      for (const ref of [update, keyframe]) if (ref !== null) expect(await world.blobs.has(ref.sha256)).toBe(true);
    }
  });

  test("cannot stop releases with impossible scores: the version goes out unevaluated", async () => {
    const labels = { segmentation: ["a", "b"], scene: ["x", "y"], depth: { kind: "metric" } };
    const { world, trainers, reports } = federation({
      config: { labels, schedule: { rounds: 1, cohort: { min: 3 } } },
    });
    const bad = trainers[BAD] as FakeTrainer;
    let calls = 0;
    bad.evaluate = async () => {
      const values = new Float64Array(bad.statistics.length).fill(1);
      // R is right about no point of one picture, the model made of it about a billion times all.
      slotValues(bad.statistics, values, "depth").fill(calls++ % 2 === 0 ? 0 : 1e9, 1);
      return values;
    };
    expect(await world.run()).toMatchObject({ code: "DONE" });
    expect(reports.at(-1)).toMatchObject({ round: 1, status: "completed", evaluated: 0 });
    expect(world.chain.manifest(1)).not.toBeNull();
  }, 10_000);
});

describe("a member revoked while a round is under way", () => {
  test("does not keep the coordinator that takes over from finishing the sum", async () => {
    let halt: (() => void) | null = null;
    const halted = new Promise<void>((resolve) => {
      halt = resolve;
    });
    let dead = false;
    // The first process dies with the sum complete and nothing done about it.
    const blobs = (inner: BlobStore): BlobStore => ({
      put: (bytes) => inner.put(bytes),
      has: (hash) => inner.has(hash),
      get: (hash) => inner.get(hash),
      read: (hash) => {
        if (dead) return inner.read(hash);
        halt?.();
        throw new Error("the process is being killed");
      },
      delete: (hash) => inner.delete(hash),
    });
    const config = { schedule: { rounds: 1, cohort: { min: 3 } } };
    const { world, reports } = federation({ config, blobs, options: { evaluationEvery: 0 } });
    void world.run();
    await halted;
    await world.killCoordinator();
    dead = true;
    world.revoke(BAD);
    const reason = await (await world.boot()).run();
    expect(reason).toMatchObject({ code: "DONE" });
    expect(reports.at(-1)).toMatchObject({ round: 1, status: "completed", survivors: 4 });
  }, 10_000);
});

describe("a client that only pretends", () => {
  const rules = fakeRules({
    cohort: { fraction: 1, min: 3, max: 16, overSelect: 1 },
    evaluation: { every: 0, patienceMs: 1 },
  });
  const honest = ["a", "b", "c"];

  test("to be about to come, again and again, does not keep the others from beginning", () => {
    const table = new RoundTable(rules);
    table.feed({ type: "started", at: table.now, enrolled: [...honest, "z"] as ClientName[] });
    table.come(...honest);
    // Started again every two seconds by its machine, and dead before it has read the plan.
    for (let i = 0; i < 30 && table.phase === "recruiting"; i++) {
      table.feed({ type: "connected", at: table.now, client: "z" as ClientName });
      table.pass(1_000, honest);
      table.go("z");
      table.pass(1_000, honest);
    }
    expect(table.phase).toBe("training advertising-keys");
  });

  test("one that comes back once is still waited for", () => {
    const table = new RoundTable(rules);
    table.come(...honest.slice(0, 2), "z");
    table.go("z");
    table.pass(20_000, honest.slice(0, 2));
    table.feed({ type: "connected", at: table.now, client: "z" as ClientName });
    table.feed({ type: "connected", at: table.now, client: "c" as ClientName });
    table.feed({ type: "ready", at: table.now, client: "c" as ClientName, version: 0 });
    expect(currentSum(table.state)).toBeNull();
    table.feed({ type: "ready", at: table.now, client: "z" as ClientName, version: 0 });
    expect(currentSum(table.state)?.invited).toEqual(["a", "b", "c", "z"]);
  });

  test("to train, back and forth, is given up like one that stands still", () => {
    const table = new RoundTable({ ...rules, cohort: { ...rules.cohort, min: 4 } });
    table.come(...honest, "z");
    while (table.phase !== "training collecting-masked-inputs") table.answer(...honest, "z");
    table.answer(...honest);
    const sid = currentSum(table.state)?.sid ?? null;
    for (let i = 0; i < 500 && table.phase === "training collecting-masked-inputs"; i++) {
      const progress = { step: i % 2, steps: 2 };
      table.feed({ type: "heartbeat", at: table.now, client: "z" as ClientName, sid, progress });
      table.pass(5_000, honest);
      table.feed({ type: "heartbeat", at: table.now, client: "z" as ClientName, sid, progress });
    }
    expect(table.phase).toBe("training checking-consistency");
  });
});

describe("a damaged store", () => {
  test("a sealed vector that is gone is left out alone", async () => {
    let lost: Sha256 | null = null;
    const blobs = (inner: BlobStore): BlobStore => ({
      put: (bytes) => inner.put(bytes),
      has: (hash) => inner.has(hash),
      get: async (hash) => {
        if (hash === lost) await inner.delete(hash);
        return inner.get(hash);
      },
      read: (hash) => inner.read(hash),
      delete: (hash) => inner.delete(hash),
    });
    const config = { secureAggregation: { mode: "off" }, schedule: { rounds: 1, cohort: { min: 3 } } };
    const { world, reports } = federation({ config, blobs }, (state) => {
      const { current } = state;
      if (current.phase === "updating") lost = current.sum.inputs[BAD]?.vector ?? null;
    });
    expect(await world.run()).toMatchObject({ code: "DONE" });
    expect(reports.at(-1)).toMatchObject({ round: 1, status: "completed", survivors: 3 });
    expect(reports.at(-1)?.excluded).toMatchObject([{ client: BAD, code: "STORE_CORRUPT" }]);
  }, 10_000);
});
