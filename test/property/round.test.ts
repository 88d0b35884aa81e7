/** The reducer under any sequence of events: clients that answer, lie, vanish, return and restart; time; restarts; operators. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Step } from "../../shared/secagg/signed.ts";
import { neededSurvivors } from "../../shared/secagg/thresholds.ts";
import { currentSum } from "../../coordinator/round/transition.ts";
import type { SumComplete } from "../../coordinator/round/state.ts";
import { fakeRules, RoundTable } from "../fakes/round-table.ts";

const SITES = ["a", "b", "c", "d", "e"];
const STEPS: Step[] = ["advertise-keys", "share-keys", "masked-input", "consistency", "unmask"];

const site = fc.constantFrom(...SITES);
type Act = (table: RoundTable) => void;
const act: fc.Arbitrary<Act> = fc.oneof(
  // Weighted towards progress, so that sequences get through whole rounds.
  {
    weight: 12,
    arbitrary: site.map(
      (s): Act =>
        (table) =>
          table.answer(s),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.constant<Act>((table) => table.answer(...SITES.filter((s) => table.member(s as ClientName)))),
  },
  { weight: 4, arbitrary: fc.constant<Act>((table) => table.work()) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 1, max: 5_000 }).map(
      (ms): Act =>
        (table) =>
          table.pass(ms, SITES),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 700_000 }).map(
      (ms): Act =>
        (table) =>
          table.pass(ms),
    ),
  },
  {
    weight: 2,
    arbitrary: site.map(
      (s): Act =>
        (table) =>
          table.go(s),
    ),
  },
  {
    weight: 3,
    arbitrary: site.map(
      (s): Act =>
        (table) =>
          table.come(s),
    ),
  },
  {
    weight: 1,
    arbitrary: site.map(
      (s): Act =>
        (table) =>
          table.beat(s, null),
    ),
  },
  // Lies: the wrong step, another payload, another session.
  {
    weight: 2,
    arbitrary: fc.tuple(site, fc.constantFrom(...STEPS), fc.string({ maxLength: 3 })).map(
      ([s, step, payload]): Act =>
        (table) =>
          table.step(s, step, payload),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(site, fc.boolean()).map(([client, lasting]): Act => (table) => {
      const sid = currentSum(table.state)?.sid ?? ("0".repeat(64) as Sha256);
      const reason = { code: "TRAINING_FAILED", message: client };
      table.feed({ type: "exclude", at: table.now, client: client as ClientName, sid, reason, lasting });
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Act>((table) => {
      const sid = currentSum(table.state)?.sid;
      if (sid === undefined) return;
      table.feed({ type: "sum-failed", at: table.now, sid, reason: { code: "AGGREGATE_RANGE", message: "x" } });
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("pause", "resume", "trigger").map(
      (type): Act =>
        (table) =>
          table.feed({ type, at: table.now }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Act>((table) => {
      // The coordinator is killed and comes back: presence is gone.
      table.state = { ...table.state, presence: { since: table.now, deafMs: 0, members: new Map() } };
      table.feed({ type: "started", at: table.now, enrolled: SITES as ClientName[] });
    }),
  },
);

test("no sequence of events breaks a promise", () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(
      fc.constantFrom("malicious" as const, "semi-honest" as const, "off" as const),
      fc.array(act, { minLength: 20, maxLength: 160 }),
      (mode, acts) => {
        const stop = { ...fakeRules().stop, rounds: 3 };
        const table = new RoundTable(
          fakeRules({ mode, stop, cohort: { fraction: 1, min: 4, max: 16, overSelect: 1 } }),
        );
        table.come(...SITES);
        let { round, version } = table.state;
        for (const step of acts) {
          step(table);
          reached.add(table.phase);
          const { state } = table;
          // Nothing goes back.
          expect(state.round).toBeGreaterThanOrEqual(round);
          expect(state.version).toBeGreaterThanOrEqual(version);
          // A round with a new version counts once it is over.
          expect([0, 1]).toContain(state.version - state.completed);
          ({ round, version } = state);
          checkSum(table);
        }
        checkPromises(table);
        expect(table.replayed()).toEqual(table.durable);
      },
    ),
    { numRuns: 120 },
  );
  // The sequences do get somewhere.
  for (const phase of ["updating", "training unmasking"]) expect(reached).toContain(phase);
});

function checkSum(table: RoundTable): void {
  const sum = currentSum(table.state);
  if (sum === null) return;
  const invited = new Set<string>(sum.invited);
  const inside = (names: object, within: ReadonlySet<string>): void => {
    for (const name of Object.keys(names)) expect(within.has(name)).toBe(true);
  };
  inside(sum.advertised, invited);
  if (sum.mode !== "off" && "shared" in sum) inside(sum.shared, new Set(Object.keys(sum.advertised)));
  if ("inputs" in sum) inside(sum.inputs, sum.mode === "off" ? invited : new Set(Object.keys(sum.shared)));
  if ("signatures" in sum) {
    inside(sum.signatures, new Set(Object.keys(sum.inputs)));
    if (sum.mode !== "off") {
      const needed = neededSurvivors(Object.keys(sum.advertised).length, sum.mode, sum.minSurvivors);
      expect(Object.keys(sum.inputs).length).toBeGreaterThanOrEqual(needed);
    }
  }
  if ("reveals" in sum) inside(sum.reveals, new Set(Object.keys(sum.inputs)));
}

function checkPromises(table: RoundTable): void {
  const lists = new Map<string, string>();
  const summed = new Map<string, number>();
  for (const effect of table.effects) {
    // One session reveals for one list only, and one round of one purpose in one session only.
    if (effect.type === "send" && effect.message.type === "signatures") {
      const { sum } = effect.message;
      const { purpose, round } = sum.session;
      const list = `${sum.sid} ${"inputs" in sum ? Object.keys(sum.inputs).toSorted().join() : ""}`;
      const known = lists.get(`${purpose} ${round}`);
      if (known !== undefined) expect(list).toBe(known);
      lists.set(`${purpose} ${round}`, list);
    }
    if (effect.type === "update") summed.set(effect.sum.sid, (summed.get(effect.sum.sid) ?? 0) + 1);
  }
  for (const count of summed.values()) expect(count).toBe(1);
  // Nobody is counted twice: each version comes from one sum of its own.
  const commits = table.log.filter((event) => event.type === "committed");
  expect(new Set(commits.map(({ sid }) => sid)).size).toBe(commits.length);
  // Nothing acknowledged is lost: a survivor's accepted input is in the sum that was made of its session.
  const sums = table.effects.flatMap((e): SumComplete[] => (e.type === "update" ? [e.sum] : []));
  for (const sum of sums) {
    const accepted = table.log.flatMap((event) =>
      event.type === "step" && event.signed.sid === sum.sid && event.signed.step === "masked-input" ? [event] : [],
    );
    for (const { client, signed } of accepted) {
      const input = sum.inputs[client];
      if (input !== undefined)
        expect(accepted.find((event) => event.client === client)?.signed.payload).toBe(input.signed.payload);
      else
        expect(
          accepted.some((event) => event.client === client && event.signed === signed && event.vector !== null),
        ).toBe(false);
    }
  }
  // Every round that began ended once, or is still under way.
  const rounds = table.rounds().map(({ facts }) => facts.round);
  expect(new Set(rounds).size).toBe(rounds.length);
}
