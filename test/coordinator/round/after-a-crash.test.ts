/** What a coordinator that takes over finds half done: a version that nobody was told of, blobs that nothing refers to. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { decodeServerState } from "../../../coordinator/optimizer/server-state-codec.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { BlobStore, FederationStore } from "../../../coordinator/store/port.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { CodedError } from "../../../shared/errors.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const NEVER = new Promise<never>(() => {});

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

function federation(parts: Partial<RoundWorldParts>): { world: RoundWorld; reports: RoundReport[] } {
  const reports: RoundReport[] = [];
  const world = new RoundWorld({
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    ...parts,
    observer: { ...parts.observer, round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  return { world, reports };
}

/** The process dies with this event on its way to the log. */
function dyingBefore(type: string): {
  store: NonNullable<RoundWorldParts["store"]>;
  died: Promise<void>;
  alive: () => void;
} {
  let dead = false;
  let armed = true;
  let tell: () => void = () => {};
  const died = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const store = (inner: FederationStore): FederationStore =>
    new Proxy(inner, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          const lines = name === "append" ? (args[0] as string[]) : [];
          if (armed && lines.some((line) => (JSON.parse(line) as { event: { type: string } }).event.type === type)) {
            dead = true;
            tell();
          }
          return dead ? NEVER : (value.apply(target, args) as unknown);
        };
      },
    });
  const alive = () => {
    dead = false;
    armed = false;
  };
  return { store, died, alive };
}

describe("a version that was committed, but is not in the log", () => {
  test.each([1, 10])(
    "gives way when its round becomes void (keyframe every %d)",
    async (keyframeEvery) => {
      const { store, died, alive } = dyingBefore("committed");
      let lost = false;
      const blobs = (inner: BlobStore): BlobStore => ({
        put: (bytes) => inner.put(bytes),
        has: (hash) => inner.has(hash),
        get: (hash) => inner.get(hash),
        async *read(hash) {
          if (lost) {
            lost = false;
            throw new CodedError("STORE_CORRUPT", "the vector is damaged");
          }
          yield* inner.read(hash);
        },
        delete: (hash) => inner.delete(hash),
      });
      const { world, reports } = federation({
        config: { schedule: { rounds: 2, cohort: { min: 4 } }, release: { keyframeEvery } },
        options: { evaluationEvery: 0, failures: 5 },
        store,
        blobs,
      });
      void world.run();
      await died;
      const orphan = world.chain.newest?.link.paramsHash;
      expect(world.chain.newest?.version).toBe(1);
      await world.killCoordinator();
      alive();
      lost = true;
      expect(await (await world.boot()).run()).toMatchObject({ code: "DONE" });
      expect(reports.map(({ round, status }) => [round, status])).toEqual([
        [1, "failed"],
        [2, "completed"],
        [3, "completed"],
      ]);
      const { state } = world.coordinator;
      expect(state.version).toBe(2);
      expect(world.chain.newest?.link.paramsHash).toBe(state.paramsHash);
      expect(world.chain.link(1)?.paramsHash).not.toBe(orphan);
      // R follows the server's own params, which never saw the void round.
      const exact = decodeServerState(
        await world.blobs.get(state.serverStates[0] as Sha256),
        world.chain.options.layout.length,
      );
      const distance = exact.params.map((value, i) => Math.abs(value - (world.chain.newest?.params[i] as number)));
      expect(Math.max(...distance)).toBeLessThan(0.002);
    },
    20_000,
  );

  test("is offered to nobody before", async () => {
    const { store, died } = dyingBefore("committed");
    const { world } = federation({ store, options: { evaluationEvery: 0 } });
    void world.run();
    await died;
    expect(world.chain.linksAfter(0)).toHaveLength(1);
    const line = world.network.client(world.names[0] as (typeof world.names)[number]);
    line.open({ connected: () => {}, disconnected: () => {}, message: () => {} });
    expect(await line.chain(0, new AbortController().signal)).toEqual([]);
    await world.killCoordinator();
  }, 20_000);
});

describe("a damaged server state", () => {
  test.each(["missing", "changed"])(
    "that is %s ends the process with a clear error instead of being read for ever",
    async (how) => {
      const { store, died, alive } = dyingBefore("committed");
      const trouble: string[] = [];
      const { world } = federation({
        store,
        blobs: (inner) => ({
          put: (bytes) => inner.put(bytes),
          has: (hash) => inner.has(hash),
          get: async (hash) => {
            const bytes = await inner.get(hash);
            return hash === damaged && how === "changed" ? bytes.subarray(1) : bytes;
          },
          read: (hash) => inner.read(hash),
          delete: (hash) => inner.delete(hash),
        }),
        options: { evaluationEvery: 0 },
        observer: { trouble: (what) => void trouble.push(what) },
      });
      let damaged: Sha256 | null = null;
      void world.run();
      await died;
      await world.killCoordinator();
      alive();
      damaged = world.coordinator.state.serverStates[0] as Sha256;
      if (how === "missing") await world.blobs.delete(damaged);
      const over = (await world.boot()).run();
      await expect(over).rejects.toMatchObject({
        code: "STORE_CORRUPT",
        message: expect.stringContaining(`the server's state ${damaged}`),
      });
      expect(trouble).toHaveLength(1);
    },
    10_000,
  );
});

describe("blobs that nothing refers to", () => {
  test("are collected at the start and after rounds, never one that is in use or may be soon", async () => {
    const calls: { live: ReadonlySet<string>; graceMs: number }[] = [];
    const { store, died, alive } = dyingBefore("committed");
    const { world } = federation({
      config: { schedule: { rounds: 2, cohort: { min: 4 } } },
      options: { evaluationEvery: 0, keepSum: true },
      store,
      collect: async (live, graceMs) => void calls.push({ live, graceMs }),
    });
    void world.run();
    await died;
    expect(calls).toEqual([{ live: expect.anything(), graceMs: 0 }]);
    const sum = currentSum(world.coordinator.state);
    await world.killCoordinator();
    alive();
    expect(await (await world.boot()).run()).toMatchObject({ code: "DONE" });
    const taken = calls[1] as (typeof calls)[number];
    const vectors = Object.values((sum as { inputs: Record<string, { vector: string }> }).inputs);
    expect(vectors).toHaveLength(4);
    for (const { vector } of vectors) expect(taken.live.has(vector)).toBe(true);
    // What was uploaded since the sum began may still be announced.
    expect(taken.graceMs).toBeGreaterThanOrEqual(60_000);
    const last = calls.at(-1) as (typeof calls)[number];
    expect(calls.length).toBe(4);
    const { serverStates, lastSum } = world.coordinator.state;
    for (const hash of [...serverStates, lastSum as string]) expect(last.live.has(hash)).toBe(true);
    for (const { update, keyframe } of world.chain.linksAfter(-1)) {
      for (const ref of [update, keyframe]) if (ref !== null) expect(last.live.has(ref.sha256)).toBe(true);
    }
    expect(last.graceMs).toBeGreaterThanOrEqual(60_000);
  }, 20_000);
});
