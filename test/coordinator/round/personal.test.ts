/** What sites keep for themselves, over whole rounds in one process: restarts change no bit of it, and it is never sent. */
import { afterEach, expect, test } from "@jest/globals";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { ClientMessage } from "../../../shared/wire/messages.ts";
import { RoundWorld, type RoundWorldParts } from "../../fakes/round-world.ts";
import { PersonalTrainer } from "../../fakes/trainer.ts";

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const ROUNDS = 3;

function federation(parts: Partial<RoundWorldParts> = {}) {
  const trainers: Record<string, PersonalTrainer> = {};
  const world = new RoundWorld({
    config: { schedule: { rounds: ROUNDS, cohort: { min: 4 } }, ...parts.config },
    heartbeatMs: 50,
    ...parts,
    trainers: ({ labels }) => {
      for (let i = 0; i < 4; i++) trainers[`site-${i}`] = new PersonalTrainer(labels);
      return trainers;
    },
  });
  worlds.push(world);
  return { world, trainers };
}

const hashOf = (world: RoundWorld) => world.chain.newest?.link.paramsHash;
const kept = (world: RoundWorld) =>
  Promise.all(world.names.map(async (name) => [name, ...((await world.personal.get(name)?.through(99)) ?? [])]));

test("each round goes on from what the round before left, and versions are scored with it", async () => {
  const { world, trainers } = federation();
  await world.run();
  expect(await kept(world)).toEqual(world.names.map((name) => [name, ...Array.from({ length: 6 }, () => ROUNDS)]));
  for (const { began, scored } of Object.values(trainers)) {
    expect(began).toEqual([1, 2, 3].map((round) => [round, round - 1]));
    // The version of round r with what round r left, R and the quantized model each.
    expect(scored.slice(0, 8)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  }
});

/** Runs the federation and disturbs it once, at the masked inputs of round 2. */
async function disturbed(disturb: (world: RoundWorld) => void): Promise<ReturnType<typeof federation>> {
  let done = false;
  const made = federation({
    observer: {
      event: (event, state) => {
        const sum = currentSum(state);
        const here = sum?.session.purpose === "training" && sum.session.round === 2;
        if (done || event.type !== "close" || !here || sum.phase !== "collecting-masked-inputs") return;
        done = true;
        disturb(made.world);
      },
    },
  });
  await made.world.run();
  expect(done).toBe(true);
  return made;
}

test("clients killed behind their training train the round again from where it began, to the same bits", async () => {
  const plain = federation();
  await plain.world.run();
  const { world, trainers } = await disturbed((broken) => {
    for (const name of ["site-1", "site-2"]) {
      broken.leave(name);
      setTimeout(() => broken.join(name), 20);
    }
  });
  expect(hashOf(world)).toBe(hashOf(plain.world));
  expect(await kept(world)).toEqual(await kept(plain.world));
  const again = Object.values(trainers).flatMap(({ began }) => began.filter(([round]) => round === 2));
  expect(again.length).toBeGreaterThan(4);
  expect(again.every(([, first]) => first === 1)).toBe(true);
});

test("killed in the middle, the coordinator goes on to the same bits", async () => {
  const plain = federation();
  await plain.world.run();
  let reached = (): void => undefined;
  const there = new Promise<void>((resolve) => (reached = resolve));
  let mute = true;
  const { world } = federation({
    network: {
      toCoordinator: (_client, message) => {
        const last = message.type === "step" && message.signed.step === "unmask" && message.signed.round === 2;
        if (!mute || !last) return message;
        reached();
        return null;
      },
    },
  });
  void world.run();
  await there;
  await world.killCoordinator();
  mute = false;
  expect(await (await world.boot()).run()).toMatchObject({ code: "DONE" });
  expect(hashOf(world)).toBe(hashOf(plain.world));
  expect(await kept(world)).toEqual(await kept(plain.world));
});

test("nothing of it is in any message or vector; the vector has the federated params' length", async () => {
  const said: ClientMessage[] = [];
  const { world, trainers } = federation({
    config: { secureAggregation: { mode: "off" } },
    network: {
      toCoordinator: (_client, message) => {
        said.push(message);
        return message;
      },
    },
  });
  // A number that could not be there by chance.
  for (const name of world.names) await world.personal.get(name)?.keep(0, new Float32Array(6).fill(12345.678));
  for (const trainer of Object.values(trainers)) {
    const train = trainer.train.bind(trainer);
    trainer.train = (job) => train({ ...job, personal: new Float32Array(6).fill(12345.678) });
  }
  await world.run();
  expect(JSON.stringify(said)).not.toContain("12345");
  expect(JSON.stringify(said)).not.toContain("12346");
  const [params] = [world.chain.newest?.params];
  expect(params?.length).toBe(trainers["site-0"]?.layout.length);
  expect(await kept(world)).toEqual(
    world.names.map((name) => [name, ...Array.from({ length: 6 }, () => Math.fround(12346.678))]),
  );
});
