import { expect, test } from "@jest/globals";
import { setImmediate as turn } from "node:timers/promises";
import type { Socket } from "socket.io";
import { Outbox, UnderWay } from "../../../coordinator/transport/outbox.ts";
import type { CoordinatorMessage } from "../../../shared/wire/messages.ts";

const small = (reason: string): CoordinatorMessage => ({ type: "stopped", reason });
const large = (reason: string): CoordinatorMessage => ({ type: "stopped", reason: reason.padEnd(70_000) });

function line(log: string[], name: string): Outbox {
  const socket = {
    connected: true,
    emit: (_event: string, message: { reason: string }, acknowledged: () => void) => {
      log.push(`${name} ${message.reason.trim()}`);
      acknowledged();
    },
  };
  return new Outbox(socket as unknown as Socket, new UnderWay(), () => {});
}

test("large messages go out one in a turn, small ones at once, and each client's in order", async () => {
  const log: string[] = [];
  const [a, b] = [line(log, "a"), line(log, "b")];
  a.send(small("first"));
  expect(log).toEqual(["a first"]);
  a.send(large("roster"));
  b.send(large("roster"));
  a.send(small("after"));
  expect(log).toEqual(["a first"]);
  b.send(large("more"));
  const seen: number[] = [];
  for (let i = 0; i < 6; i++) {
    await turn();
    seen.push(log.length);
  }
  expect(log).toEqual(["a first", "a roster", "b roster", "a after", "b more"]);
  // Never two in one turn.
  expect(seen.every((count, i) => count - (seen[i - 1] ?? 1) <= 1)).toBe(true);
  b.send(small("last"));
  expect(log.at(-1)).toBe("b last");
});

test("who is gone when its turn comes is sent nothing", async () => {
  const log: string[] = [];
  const socket = { connected: true, emit: () => log.push("sent") };
  const outbox = new Outbox(socket as unknown as Socket, new UnderWay(), () => {});
  outbox.send(large("roster"));
  socket.connected = false;
  await turn();
  await turn();
  expect(log).toEqual([]);
});

test("no more is asked for while 32 MB are on their way, until clients take some or two seconds have passed", async () => {
  const underWay = new UnderWay();
  const megabytes = Array.from({ length: 32 }, () => underWay.add(1 << 20));
  let told = 0;
  const room = underWay.room();
  expect(room).not.toBeNull();
  void room?.then(() => (told += 1));
  await turn();
  expect(told).toBe(0);
  megabytes[0]?.();
  // Once is once.
  megabytes[0]?.();
  await turn();
  expect(told).toBe(1);
  expect(underWay.room()).toBeNull();
  underWay.add(1 << 20);
  // A client that takes nothing does not keep the others waiting for ever.
  await underWay.room();
  expect(underWay.room()).toBeNull();
});
