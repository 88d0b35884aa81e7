/** Whole rounds in one process: the shipped coordinator and the shipped client sessions, real keys and masks. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { isCoded } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import type { FederationStore } from "../../../coordinator/store/port.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import type { DurableEvent, Reason, RoundEvent } from "../../../coordinator/round/state.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { ClientMessage } from "../../../shared/wire/messages.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const NEVER = new Promise<never>(() => {});

interface Told {
  readonly world: RoundWorld;
  readonly trainers: Record<string, FakeTrainer>;
  readonly reports: RoundReport[];
  readonly refused: { client: string; reason: Reason }[];
  readonly events: RoundEvent[];
}

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

function federation(size: number, parts: Partial<RoundWorldParts> = {}): Told {
  const reports: RoundReport[] = [];
  const refused: Told["refused"] = [];
  const events: RoundEvent[] = [];
  const trainers: Record<string, FakeTrainer> = {};
  const world = new RoundWorld({
    trainers: ({ labels }) => {
      for (let i = 0; i < size; i++) trainers[`site-${i}`] = new FakeTrainer(labels);
      return trainers;
    },
    ...parts,
    observer: {
      event: (event, state) => {
        events.push(event);
        parts.observer?.event?.(event, state);
      },
      round: (report) => void reports.push(report),
      refused: (client, reason) => void refused.push({ client, reason }),
    },
  });
  worlds.push(world);
  return { world, trainers, reports, refused, events };
}

const hashOf = (world: RoundWorld): string | undefined => world.chain.newest?.link.paramsHash;
const mode = (name: string) => ({ secureAggregation: { mode: name } });

describe("a federation in one process", () => {
  test("gives the same bits with secure aggregation and without, and twice", async () => {
    const hashes: (string | undefined)[] = [];
    for (const name of ["malicious", "malicious", "semi-honest", "off"]) {
      const { world, reports } = federation(4, { config: mode(name) });
      expect(await world.run()).toMatchObject({ code: "DONE" });
      expect(reports.map(({ round, status, survivors, evaluated }) => [round, status, survivors, evaluated])).toEqual([
        [0, "completed", 4, 4],
        [1, "completed", 4, 4],
        [2, "completed", 4, 4],
      ]);
      expect(reports[1]).toMatchObject({ attempts: 1, cohort: 4, examples: 96, examplesSeen: 192, loss: 1.5 });
      hashes.push(hashOf(world));
    }
    expect(new Set(hashes).size).toBe(1);
  });

  test("the mean is the weighted mean of what the clients trained", async () => {
    const { world, trainers } = federation(4, { config: { schedule: { rounds: 1, cohort: { min: 3 } } } });
    // One site with twice the weight, and constant deltas.
    for (const [i, trainer] of Object.values(trainers).entries()) {
      Object.assign(trainer, { examples: i === 0 ? 16 : 8 });
      trainer.spoil = (result) => ({ ...result, delta: new Float32Array(result.delta.length).fill(0.1 * (i + 1)) });
    }
    await world.run();
    const expected = 0.125 + (2 * 0.1 + 0.2 + 0.3 + 0.4) / 5;
    for (const value of world.chain.newest?.params ?? []) expect(Math.abs(value - expected)).toBeLessThan(0.002);
  });

  test("leaves signed transcripts, each naming the one before", async () => {
    const { world } = federation(4);
    await world.run();
    const names = [...world.transcripts.keys()];
    expect(names).toEqual([
      "0000-evaluation-1",
      "0001-training-1",
      "0001-evaluation-1",
      "0002-training-1",
      "0002-evaluation-1",
    ]);
    let previous = "0".repeat(64);
    for (const name of names) {
      const { transcript, digest } = JSON.parse(world.transcripts.get(name) as string) as {
        transcript: { session: { previousTranscriptDigest: string }; maskedInputs: unknown[]; consistency: unknown[] };
        digest: string;
      };
      expect(transcript.session.previousTranscriptDigest).toBe(previous);
      expect(transcript.maskedInputs).toHaveLength(4);
      expect(transcript.consistency).toHaveLength(4);
      previous = digest;
    }
  });

  test("keeps no masked vector after the round, and only the newest server states", async () => {
    const { world, events } = federation(4);
    await world.run();
    const vectors = events.flatMap((e) => (e.type === "step" && e.vector !== null ? [e.vector.hash] : []));
    expect(vectors).toHaveLength(4 * 5);
    for (const hash of vectors) expect(await world.blobs.has(hash)).toBe(false);
    for (const hash of world.coordinator.state.serverStates) expect(await world.blobs.has(hash)).toBe(true);
    expect(world.coordinator.state.serverStates).toHaveLength(2);
  });
});

describe("one bad client harms itself alone", () => {
  test.each([
    ["NaN", (t: FakeTrainer) => (t.spoil = (r) => ({ ...r, delta: r.delta.fill(Number.NaN) })), "UPDATE_NOT_FINITE"],
    ["a wrong shape", (t: FakeTrainer) => (t.spoil = (r) => ({ ...r, delta: r.delta.slice(1) })), "UPDATE_SHAPE"],
    ["an exception", (t: FakeTrainer) => (t.failure = new Error("out of memory")), "TRAINING_FAILED"],
  ])("%s", async (_name, spoil, code) => {
    const config = { schedule: { rounds: 1, cohort: { min: 4 } } };
    const { world, trainers, reports, refused } = federation(5, { config });
    spoil(trainers["site-4"] as FakeTrainer);
    await world.run();
    expect(reports[1]).toMatchObject({ status: "completed", attempts: 1, cohort: 5, survivors: 4 });
    expect(reports[1]?.excluded).toMatchObject([{ client: "site-4", code }]);
    expect(refused).toMatchObject([{ client: "site-4", reason: { code } }]);
    // What the others made of it is what they make without it.
    const without = federation(4, { config });
    await without.world.run();
    expect(hashOf(world)).toBe(hashOf(without.world));
  });

  test("a forged signature, another's name and a vector of the wrong size are refused with the name", async () => {
    const seen: string[] = [];
    const forge = (client: ClientName, message: ClientMessage): ClientMessage => {
      if (message.type !== "step" || message.signed.purpose !== "training") return message;
      const { signed } = message;
      if (client === "site-4" && signed.step === "masked-input") {
        seen.push(client);
        return { ...message, signed: { ...signed, payload: signed.payload.replace(/"words":\d+/, '"words":1') } };
      }
      return message;
    };
    const { world, reports, refused } = federation(5, {
      config: { schedule: { rounds: 1, cohort: { min: 4 } } },
      network: { toCoordinator: forge },
    });
    await world.run();
    expect(seen).toEqual(["site-4"]);
    expect(refused[0]).toMatchObject({ client: "site-4", reason: { code: "SECAGG_SIGNATURE" } });
    expect(reports[1]).toMatchObject({ status: "completed", attempts: 1, survivors: 4 });
  });

  test("everything said twice, and garbage in between, changes nothing", async () => {
    const answers: string[] = [];
    const note = (promise: Promise<void>): void =>
      void promise.then(
        () => answers.push("ok"),
        (error: unknown) => answers.push(isCoded(error) ? error.code : String(error)),
      );
    const noisy: Told = federation(4, {
      network: {
        toCoordinator: (client, message) => {
          if (message.type !== "step") return message;
          const { network } = noisy.world;
          const { signed } = message;
          const sid = "9".repeat(64) as typeof signed.sid;
          // Before it, from nowhere; after it, again, and changed.
          note(network.say(client, { type: "step", signed: { ...signed, sid } }));
          setImmediate(() => {
            note(network.say(client, message));
            note(network.say(client, { type: "step", signed: { ...signed, payload: `${signed.payload} ` } }));
          });
          return message;
        },
      },
    });
    await noisy.world.run();
    const plain = federation(4);
    await plain.world.run();
    expect(hashOf(noisy.world)).toBe(hashOf(plain.world));
    expect(noisy.refused).toEqual([]);
    const kinds = new Set(answers);
    expect(kinds.has("ROUND_UNKNOWN") && kinds.has("ROUND_CONFLICT") && kinds.has("ok")).toBe(true);
    for (const kind of kinds)
      expect(["ok", "ROUND_UNKNOWN", "ROUND_CONFLICT", "ROUND_LATE", "DISCONNECTED"]).toContain(kind);
  });

  test("without secure aggregation a vector that does not open is left out alone, and its client named", async () => {
    let spoiled = "";
    const config = { schedule: { rounds: 1, cohort: { min: 4 } }, ...mode("off") };
    const damaged = federation(5, {
      config,
      blobs: (blobs) => ({
        put: (bytes) => blobs.put(bytes),
        has: (hash) => blobs.has(hash),
        get: async (hash) => {
          const bytes = await blobs.get(hash);
          return hash === spoiled ? bytes.map((byte, i) => (i === 50 ? byte ^ 1 : byte)) : bytes;
        },
        read: (hash) => blobs.read(hash),
        delete: (hash) => blobs.delete(hash),
      }),
      observer: {
        event: (event) => {
          if (event.type !== "step" || event.client !== "site-4" || event.signed.purpose !== "training") return;
          spoiled = event.vector?.hash ?? "";
        },
      },
    });
    await damaged.world.run();
    expect(damaged.reports[1]).toMatchObject({ status: "completed", cohort: 5, survivors: 4 });
    expect(damaged.reports[1]?.excluded).toMatchObject([{ client: "site-4", code: "WIRE_HASH" }]);
    const without = federation(4, { config });
    await without.world.run();
    expect(hashOf(damaged.world)).toBe(hashOf(without.world));
  });

  test("a step in another client's name leaves out who sent it, not whom it names", async () => {
    const thief: Told = federation(5, {
      config: { schedule: { rounds: 1, cohort: { min: 4 } } },
      network: {
        toCoordinator: (client, message) => {
          const steals = client === "site-4" && message.type === "step" && message.signed.purpose === "training";
          if (!steals || message.signed.step !== "share-keys") return message;
          return { type: "step", signed: { ...message.signed, sender: "site-0" as ClientName } };
        },
      },
    });
    await thief.world.run();
    expect(thief.refused).toMatchObject([{ client: "site-4", reason: { code: "SECAGG_SESSION" } }]);
    expect(thief.reports[1]).toMatchObject({ status: "completed", attempts: 1, survivors: 4 });
  });
});

describe("clients come and go", () => {
  test("one that dies in the middle is a dropout; the round goes on with the same sum as without it", async () => {
    const config = { schedule: { rounds: 1, cohort: { min: 5 } } };
    const died = federation(5, {
      config,
      observer: {
        event: (event, state) => {
          const sum = currentSum(state);
          if (event.type !== "close" || sum?.session.purpose !== "training") return;
          if (sum.phase === "collecting-masked-inputs") died.world.leave("site-2");
        },
      },
    });
    await died.world.run();
    expect(died.reports[1]).toMatchObject({ status: "completed", attempts: 1, cohort: 5, survivors: 4, evaluated: 4 });
  });

  test("one that comes back is the same client in the next round", async () => {
    const back = federation(5, {
      config: { schedule: { rounds: 2, cohort: { min: 4 } } },
      heartbeatMs: 50,
      observer: {
        event: (event, state) => {
          const sum = currentSum(state);
          if (event.type === "close" && sum?.session.purpose === "training" && sum.session.round === 1) {
            if (sum.phase === "collecting-masked-inputs") back.world.leave("site-2");
          }
          if (event.type === "committed" && event.version === 1) back.world.join("site-2");
        },
      },
    });
    await back.world.run();
    expect(back.reports.map(({ round, cohort, survivors }) => [round, cohort, survivors])).toEqual([
      [0, 5, 5],
      [1, 5, 4],
      [2, 5, 5],
    ]);
  });

  test("too few for the threshold: the attempt fails, nothing is revealed, the next succeeds", async () => {
    const few = federation(4, {
      config: { schedule: { rounds: 1, cohort: { min: 4 } } },
      heartbeatMs: 50,
      observer: {
        event: (event, state) => {
          const sum = currentSum(state);
          if (event.type !== "close" || sum?.session.purpose !== "training" || sum.session.attempt !== 1) return;
          if (sum.phase !== "collecting-masked-inputs") return;
          for (const name of ["site-1", "site-2"]) {
            few.world.leave(name);
            setTimeout(() => few.world.join(name), 20);
          }
        },
      },
    });
    await few.world.run();
    expect(few.reports[1]).toMatchObject({ status: "completed", attempts: 2, survivors: 4 });
    const plain = federation(4, { config: { schedule: { rounds: 1, cohort: { min: 4 } } } });
    await plain.world.run();
    expect(hashOf(few.world)).toBe(hashOf(plain.world));
  });
});

describe("the operator", () => {
  test("stops at once while nothing is revealed", async () => {
    const stopping = federation(4, {
      config: { schedule: { rounds: 50, cohort: { min: 4 } } },
      observer: {
        event: (event) => {
          if (event.type === "committed" && event.version === 2) void stopping.world.coordinator.stop("enough");
        },
      },
    });
    expect(await stopping.world.run()).toEqual({ code: "STOPPED", message: "enough" });
    expect(stopping.reports.map(({ round }) => round)).toEqual([0, 1, 2]);
  });

  test("pauses between rounds, and resumes", async () => {
    const pausing = federation(4, {
      observer: {
        event: (event) => {
          if (event.type !== "committed" || event.version !== 1) return;
          void pausing.world.coordinator.pause();
          setTimeout(() => void pausing.world.coordinator.resume(), 300);
        },
      },
    });
    await pausing.world.run();
    const times = (type: string): number => pausing.events.find((event) => event.type === type)?.at as number;
    const second = pausing.events.find((event) => event.type === "recruit" && event.round === 2)?.at as number;
    expect(second).toBeGreaterThanOrEqual(times("resume"));
    expect(pausing.world.coordinator.status()).toMatchObject({ phase: "finished", completed: 2, paused: false });
  });

  test("asks for each round where the schedule is manual", async () => {
    const manual = federation(4, { config: { schedule: { rounds: 1, every: "manual", cohort: { min: 4 } } } });
    const done = manual.world.run();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(manual.world.coordinator.status()).toMatchObject({ phase: "idle", round: -1 });
    await manual.world.coordinator.trigger();
    while (manual.world.coordinator.status().round !== 0 || manual.world.coordinator.status().phase !== "idle") {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await manual.world.coordinator.trigger();
    await done;
    expect(manual.reports.map(({ round }) => round)).toEqual([0, 1]);
  });
});

test.each(["malicious", "off"])("a member that was enrolled again takes part with its new keys (%s)", async (name) => {
  const { world, reports, events } = federation(4, {
    config: { schedule: { rounds: 2, every: "manual", cohort: { min: 4 } }, ...mode(name) },
  });
  const coordinator = await world.boot();
  for (const client of world.names) world.join(client);
  const over = coordinator.run();
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const allReady = () => coordinator.status().clients.filter(({ connected, ready }) => connected && ready).length === 4;
  await until(() => events.length > 0);
  for (const round of [0, 1]) {
    await until(() => reports.length === round && allReady());
    await coordinator.trigger();
    await until(() => reports.length === round + 1);
  }
  world.leave("site-0");
  await until(() => !allReady());
  world.enrolAgain("site-0");
  world.join("site-0");
  await until(allReady);
  await coordinator.trigger();
  expect(await over).toMatchObject({ code: "DONE" });
  expect(reports.at(-1)).toMatchObject({ round: 2, attempts: 1, survivors: 4, excluded: [] });
});

describe("federation.yaml is edited", () => {
  const moreRounds = (world: RoundWorld): void => {
    world.config = { ...world.config, schedule: { ...world.config.schedule, rounds: 3 } };
  };

  test("after the end: with more rounds the federation goes on where it was", async () => {
    const { world, reports } = federation(4);
    await world.run();
    await world.coordinator.close();
    moreRounds(world);
    const coordinator = await world.boot();
    expect(await coordinator.run()).toMatchObject({ code: "DONE" });
    expect(reports.map(({ round }) => round)).toEqual([0, 1, 2, 3]);
    const longer = federation(4, { config: { schedule: { rounds: 3, cohort: { min: 3, max: 16 } } } });
    await longer.world.run();
    expect(hashOf(world)).toBe(hashOf(longer.world));
  });

  test.each(["advertising-keys", "collecting-masked-inputs", "unmasking"])(
    "in the middle of %s: the attempt under the old plan ends, the federation goes on",
    async (phase) => {
      let reached = (): void => undefined;
      const there = new Promise<void>((resolve) => {
        reached = resolve;
      });
      let mute = true;
      const edited: Told = federation(4, {
        network: {
          toCoordinator: (client, message) => {
            const held = message.type === "step" && message.signed.round === 1 && client !== "site-0";
            const steps = {
              "advertising-keys": "advertise-keys",
              "collecting-masked-inputs": "masked-input",
              unmasking: "unmask",
            };
            return mute && held && message.signed.step === steps[phase as keyof typeof steps] ? null : message;
          },
        },
        observer: {
          event: (_event, state) => {
            const sum = currentSum(state);
            if (sum?.session.round === 1 && sum.session.purpose === "training" && sum.phase === phase) reached();
          },
        },
      });
      void edited.world.run();
      await there;
      await new Promise((resolve) => setTimeout(resolve, 50));
      await edited.world.coordinator.close();
      mute = false;
      moreRounds(edited.world);
      const coordinator = await edited.world.boot();
      expect(await coordinator.run()).toMatchObject({ code: "DONE" });
      expect(coordinator.state).toMatchObject({ completed: 3, version: 3 });
      expect(edited.reports[1]).toMatchObject({ round: 1, status: "failed", reason: { code: "SESSION_PLAN" } });
    },
  );
});

describe("kill -9 of the coordinator", () => {
  const config = { schedule: { rounds: 1, cohort: { min: 4 } } };

  /** Runs a federation whose coordinator dies at its `at`-th write to the log, before or after the write. */
  async function killedAt(at: number, when: "before" | "after", name: string): Promise<{ told: Told; died: boolean }> {
    let writes = 0;
    let die = (): void => undefined;
    const death = new Promise<void>((resolve) => {
      die = resolve;
    });
    const mortal = (store: FederationStore): FederationStore => {
      let dead = false;
      const guard =
        <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          dead ? NEVER : call(...args);
      return {
        append: async (events) => {
          if (dead) return NEVER;
          if (writes++ !== at) return store.append(events);
          if (when === "after") await store.append(events);
          dead = true;
          die();
          return NEVER;
        },
        recover: guard(() => store.recover()),
        snapshot: guard((state) => store.snapshot(state)),
        clients: guard(() => store.clients()),
        putClient: guard((client) => store.putClient(client)),
        putInvitation: guard((invitation) => store.putInvitation(invitation)),
        redeem: guard((hash, now, client) => store.redeem(hash, now, client)),
        putRound: guard((record) => store.putRound(record)),
        rounds: guard(() => store.rounds()),
        putVersion: guard((record) => store.putVersion(record)),
        versions: guard(() => store.versions()),
        close: () => store.close(),
      };
    };
    // Without a pause nothing joins a batch: each step is a write of its own.
    const told = federation(4, { config: { ...config, ...mode(name) }, store: mortal, pause: async () => {} });
    const first = told.world.run();
    const died = await Promise.race([death.then(() => true), first.then(() => false)]);
    if (died) {
      await told.world.killCoordinator();
      const coordinator = await told.world.boot();
      expect(await coordinator.run()).toMatchObject({ code: "DONE" });
    }
    return { told, died };
  }

  test.each(["malicious", "off"])("at any write to the log, %s: the round completes to the same bits", async (name) => {
    const undisturbed = federation(4, { config: { ...config, ...mode(name) } });
    await undisturbed.world.run();
    const expected = hashOf(undisturbed.world);
    let at = 0;
    for (; ; at++) {
      const { told, died } = await killedAt(at, at % 2 === 0 ? "before" : "after", name);
      expect(hashOf(told.world)).toBe(expected);
      const rounds = (await told.world.store.rounds()).map(({ report }) => JSON.parse(report) as RoundReport);
      expect(rounds.map(({ round, status, survivors }) => [round, status, survivors])).toEqual([
        [0, "completed", 4],
        [1, "completed", 4],
      ]);
      worlds.splice(worlds.indexOf(told.world), 1);
      await told.world.close();
      if (!died) break;
    }
    // Every phase was hit.
    expect(at).toBeGreaterThan(name === "off" ? 10 : 20);
  });
});

describe("what cannot be kept", () => {
  test("a full disk holds the federation up and loses nothing", async () => {
    let failures = 0;
    const events: DurableEvent["type"][] = [];
    const { world, reports } = federation(4, {
      config: { schedule: { rounds: 1, cohort: { min: 4 } } },
      store: (store) =>
        new Proxy(store, {
          get(target, key) {
            if (key !== "append") {
              const value = Reflect.get(target, key) as unknown;
              return typeof value === "function" ? (value.bind(target) as unknown) : value;
            }
            return async (lines: readonly string[]) => {
              // Every fifth write fails once, half of those after the lines were kept.
              if (failures < 4 && events.length > failures * 5) {
                failures++;
                if (failures % 2 === 0) await target.append(lines);
                throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
              }
              events.push(...lines.map((line) => (JSON.parse(line) as { event: DurableEvent }).event.type));
              return target.append(lines);
            };
          },
        }),
    });
    await world.run();
    expect(failures).toBe(4);
    expect(reports.map(({ status }) => status)).toEqual(["completed", "completed"]);
    const plain = federation(4, { config: { schedule: { rounds: 1, cohort: { min: 4 } } } });
    await plain.world.run();
    expect(hashOf(world)).toBe(hashOf(plain.world));
  }, 30_000);

  test("a stopped coordinator refuses what comes late", async () => {
    const { world } = federation(4);
    await world.run();
    await world.coordinator.close();
    await expect(world.coordinator.pause()).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(isCoded(await world.coordinator.stop("x").catch((error: unknown) => error))).toBe(true);
  });
});
