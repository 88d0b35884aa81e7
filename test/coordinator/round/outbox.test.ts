import { expect, test } from "@jest/globals";
import { setImmediate as turn } from "node:timers/promises";
import { Outbox } from "../../../coordinator/round/outbox.ts";
import type { SumDesk } from "../../../coordinator/round/sum-desk.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import type { Sum } from "../../../coordinator/round/state.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { ManualClock } from "../../fakes/manual-clock.ts";
import { fakeRules, RoundTable, SITES } from "../../fakes/round-table.ts";

/** Writing each message takes so long. */
const WRITING_MS = 4;

function opened(room: () => Promise<void> | null = () => null) {
  const table = new RoundTable(fakeRules());
  table.come(...SITES);
  table.until("evaluation sharing-keys", ...SITES);
  const clock = new ManualClock();
  const sent: string[] = [];
  const desk = {
    write: (_sum: Sum, step: string) => {
      clock.block(WRITING_MS);
      return { step };
    },
  };
  const parts = {
    transport: {
      send: (client: string, message: { reason?: string; signed?: { step: string } }) => {
        sent.push(`${client} ${message.reason ?? message.signed?.step}`);
      },
      room,
    },
    clock,
    pause: () => turn(),
    observer: {},
  };
  const outbox = new Outbox(
    parts as unknown as ConstructorParameters<typeof Outbox>[0],
    () => desk as unknown as SumDesk,
    () => currentSum(table.state),
  );
  const sum = currentSum(table.state) as Sum;
  return { outbox, sent, table, sum };
}

const names = Array.from({ length: 100 }, (_, i) => `site-${i}` as ClientName);

test("messages go out in order, some milliseconds at a time, and are all sent in the end", async () => {
  const { outbox, sent, sum } = opened();
  for (const client of names) outbox.send(client, { type: "roster", sum });
  outbox.send(names[0] as ClientName, { type: "stopped", reason: "over" });
  await turn();
  expect(sent.length).toBeGreaterThan(0);
  expect(sent.length).toBeLessThan(names.length / 2);
  await outbox.sent();
  expect(sent).toEqual([...names.map((name) => `${name} roster`), "site-0 over"]);
});

test("what was asked in a phase that has closed is not written any more", async () => {
  const { outbox, sent, sum, table } = opened();
  for (const client of names) outbox.send(client, { type: "roster", sum });
  await turn();
  const before = sent.length;
  table.until("evaluation collecting-masked-inputs", ...SITES);
  outbox.send(names[0] as ClientName, { type: "shares", sum: currentSum(table.state) as Sum });
  await outbox.sent();
  expect(sent.slice(before)).toEqual(["site-0 shares"]);
});

test("nothing more is written until the transport has room, and nothing after the end", async () => {
  let make: () => void = () => {};
  let room: Promise<void> | null = new Promise((resolve) => (make = resolve));
  const { outbox, sent, sum } = opened(() => room);
  for (const client of names) outbox.send(client, { type: "roster", sum });
  await turn();
  const held = sent.length;
  expect(held).toBeLessThan(20);
  room = null;
  make();
  await turn();
  await turn();
  expect(sent.length).toBeGreaterThan(held);
  outbox.close();
  await outbox.sent();
  expect(sent.length).toBeLessThan(names.length);
});
