/** A coordinator that is too busy to listen must not take its clients for gone. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Driver, type Hands } from "../../../coordinator/round/driver.ts";
import { Listening } from "../../../coordinator/round/listening.ts";
import { DEPLOYED } from "../../../coordinator/round/parts.ts";
import { emptyPresence, hear, isGone, memberOf } from "../../../coordinator/round/presence.ts";
import type { RoundEvent } from "../../../coordinator/round/state.ts";
import { currentSum, transition } from "../../../coordinator/round/transition.ts";
import { MemoryStore } from "../../../coordinator/store/memory.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { ManualClock } from "../../fakes/manual-clock.ts";
import { fakeRules } from "../../fakes/round-table.ts";

const CLIENTS = ["a", "b", "c", "d", "e"] as ClientName[];
const HASH = "1".repeat(64) as Sha256;
const never = () => new Promise<never>(() => {});
const hands: Hands = {
  send: () => {},
  sent: async () => {},
  work: never,
  keep: async () => {},
  beginning: async () => ({ paramsHash: HASH, serverState: HASH }),
};

let clock: ManualClock;
let driver: Driver;

/** Everybody is there, and asked for keys that nobody sends. */
beforeEach(async () => {
  clock = new ManualClock();
  const parts = { store: new MemoryStore(), clock, observer: {}, options: DEPLOYED, pause: () => turn() };
  driver = new Driver(parts, fakeRules({ evaluation: { every: 0, patienceMs: 0 } }), hands);
  await driver.open(CLIENTS);
  for (const client of CLIENTS) {
    void driver.submit({ type: "connected", at: clock.now(), client });
    void driver.submit({ type: "ready", at: clock.now(), client, version: 0 });
  }
  driver.start();
  await listening(1_000);
  expect(phase()).toBe("advertising-keys 1");
});
afterEach(() => driver.close());

function phase(): string {
  const sum = currentSum(driver.state);
  return sum === null ? driver.state.current.phase : `${sum.phase} ${sum.session.attempt}`;
}

function beat(...clients: readonly ClientName[]): void {
  const sid = currentSum(driver.state)?.sid ?? null;
  for (const client of clients) {
    void driver.submit({ type: "heartbeat", at: clock.now(), client, sid, progress: null });
  }
}

/** Time in which the coordinator hears the heartbeats of these clients, one a second. */
async function listening(ms: number, clients: readonly ClientName[] = CLIENTS): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    beat(...clients);
    await clock.pass(1_000, turn);
  }
}

test("clients that go on speaking are waited for", async () => {
  await listening(60_000);
  expect(phase()).toBe("advertising-keys 1");
});

test("clients that fall silent while the coordinator listens are gone after ten seconds", async () => {
  await listening(8_000, []);
  expect(phase()).toBe("advertising-keys 1");
  await listening(3_000, []);
  expect(phase()).not.toBe("advertising-keys 1");
});

test("a coordinator that was busy for a minute takes nobody for gone: it tells the time before it reads what waits", async () => {
  clock.block(60_000);
  // The overdue timer comes first, and what the sockets hold after it.
  await clock.pass(0, turn);
  await turn();
  expect(phase()).toBe("advertising-keys 1");
  await listening(30_000);
  expect(phase()).toBe("advertising-keys 1");
  // It listens again: silence counts.
  await listening(11_000, []);
  expect(phase()).not.toBe("advertising-keys 1");
});

test("one client's message that takes long does not make the others silent whose messages wait behind it", async () => {
  await listening(8_000, []);
  // All come in one turn; looking at the first takes a minute.
  const [first, ...others] = CLIENTS as [ClientName, ...ClientName[]];
  void driver.submit({ type: "installed", at: clock.now(), client: first, version: 0 });
  clock.block(60_000);
  beat(...others);
  await turn();
  await turn();
  expect(phase()).toBe("advertising-keys 1");
  await listening(5_000, others);
  expect(phase()).toBe("advertising-keys 1");
});

test("busy again and again for seconds at a time, it still tells silence from its own", async () => {
  for (let i = 0; i < 20; i++) {
    clock.block(5_000);
    beat(...CLIENTS);
    await clock.pass(0, turn);
    await turn();
  }
  expect(phase()).toBe("advertising-keys 1");
  // It listens for less than a second in five: silence counts by the seconds in which it did.
  for (let i = 0; i < 25; i++) {
    clock.block(4_500);
    await clock.pass(500, turn);
  }
  expect(phase()).not.toBe("advertising-keys 1");
});

test("who comes back after a restart is expected until its connection is heard of, whatever it says over it already", () => {
  const at = clock.now();
  const [client, other] = CLIENTS as [ClientName, ClientName];
  const back = hear(emptyPresence(at), { type: "started", at, enrolled: CLIENTS });
  const waiting: RoundEvent[] = [
    { type: "connected", at, client },
    { type: "ready", at, client, version: 0 },
    { type: "connected", at, client: other },
    { type: "ready", at, client: other, version: 0 },
  ];
  const listening = new Listening();
  listening.heartbeat({ type: "heartbeat", at, client: other, sid: HASH, progress: null });
  const rules = fakeRules({ liveness: "connection" });
  let { state } = listening.take({ ...driver.state, presence: back }, waiting, at);
  for (const event of waiting) {
    for (const name of CLIENTS) expect(isGone(rules, state.presence, name, at)).toBe(false);
    ({ state } = transition(rules, state, event));
  }
  // What it said is heard after its connection.
  expect(memberOf(state.presence, other).sid).toBeUndefined();
  ({ state } = listening.take(state, [{ type: "tick", at }], at));
  expect(memberOf(state.presence, other).sid).toBe(HASH);
  // Of a connection that is over by then nothing counts any more.
  listening.heartbeat({ type: "heartbeat", at, client: other, sid: null, progress: null });
  ({ state } = transition(rules, state, { type: "disconnected", at, client: other }));
  ({ state } = listening.take(state, [{ type: "tick", at }], at));
  expect(memberOf(state.presence, other).sid).toBe(HASH);
});
