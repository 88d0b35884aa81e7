import { describe, expect, test } from "@jest/globals";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { parseSchedule } from "../../../coordinator/schedule/schedule.ts";
import { currentSum, pendingWork, transition } from "../../../coordinator/round/transition.ts";
import { termsOf } from "../../../coordinator/round/phases/sum.ts";
import type { DurableEvent, RoundEvent } from "../../../coordinator/round/state.ts";
import { fakeRules, RoundTable, SITES } from "../../fakes/round-table.ts";

const PHASES = [
  "idle",
  "recruiting",
  "training advertising-keys",
  "training sharing-keys",
  "training collecting-masked-inputs",
  "training checking-consistency",
  "training unmasking",
  "updating",
  "evaluation advertising-keys",
  "evaluation sharing-keys",
  "evaluation collecting-masked-inputs",
  "evaluation checking-consistency",
  "evaluation unmasking",
  "evaluation complete",
  "releasing",
  "finished",
];

/** A table in the given phase of round 1. */
function tableIn(phase: string): RoundTable {
  const table = new RoundTable(fakeRules({ evaluation: { every: 1, patienceMs: 600_000 } }));
  if (phase === "idle") return table;
  // Round 0 evaluates first; skip it by starting where round 1 recruits.
  table.state = { ...table.state, round: 0 };
  table.feed({ type: "tick", at: table.now });
  if (phase === "recruiting") return table;
  table.come(...SITES);
  table.until(phase, ...SITES);
  return table;
}

describe("a round that goes well", () => {
  test("passes through every phase in order, round 0 first", () => {
    const table = new RoundTable(fakeRules());
    const seen: string[] = [];
    const note = (): void => void (seen.at(-1) === table.phase || seen.push(table.phase));
    table.come(...SITES);
    for (let i = 0; i < 100 && table.phase !== "finished"; i++) {
      for (const site of SITES) {
        table.answer(site);
        note();
      }
      table.work();
      note();
    }
    const sum = (purpose: string): string[] =>
      ["advertising-keys", "sharing-keys", "collecting-masked-inputs", "checking-consistency", "unmasking"].map(
        (phase) => `${purpose} ${phase}`,
      );
    expect(seen).toEqual([
      ...sum("evaluation"),
      "evaluation complete",
      ...sum("training"),
      "updating",
      ...sum("evaluation"),
      "evaluation complete",
      "releasing",
      "finished",
    ]);
    const [zero, one] = table.rounds();
    expect(zero).toMatchObject({ status: "completed", facts: { round: 0, totals: null, evaluation: { clients: 5 } } });
    expect(one).toMatchObject({ status: "completed", facts: { round: 1, survivors: [...SITES], attempts: 1 } });
    expect(table.state).toMatchObject({ completed: 1, version: 1, round: 1 });
  });

  test("without secure aggregation the key phases are left out", () => {
    const table = new RoundTable(fakeRules({ mode: "off" }));
    table.come(...SITES);
    expect(table.phase).toBe("evaluation collecting-masked-inputs");
    table.until("finished", ...SITES);
    expect(table.rounds().map(({ status }) => status)).toEqual(["completed", "completed"]);
  });

  test("unmasking closes as soon as every secret can be reconstructed", () => {
    const table = tableIn("training unmasking");
    table.answer("a", "b", "c");
    expect(table.phase).toBe("training unmasking");
    table.answer("d");
    expect(table.phase).toBe("updating");
    // The fifth is late, which is nobody's fault.
    table.answer("e");
    expect(table.phase).toBe("updating");
  });

  test("a session's id depends on purpose, round, attempt, parent and the transcript before it", () => {
    const table = new RoundTable(fakeRules({ stop: { ...fakeRules().stop, rounds: 2 } }));
    table.come(...SITES);
    table.until("finished", ...SITES);
    const sids = table.state.ended.map(({ sid }) => sid);
    const digests = table.state.ended.map(({ transcriptDigest }) => transcriptDigest);
    expect(new Set(sids).size).toBe(5);
    expect(new Set(digests).size).toBe(5);
    const kept = table.effects.flatMap((e) => (e.type === "keep-transcript" ? [e] : []));
    for (const [i, { transcript }] of kept.entries()) {
      const previous = kept[i - 1]?.digest ?? "0".repeat(64);
      expect(transcript.session.previousTranscriptDigest).toBe(previous);
    }
  });
});

describe("a round that waits for its first clients", () => {
  const HOUR_MS = 3_600_000;
  const MIDNIGHT = Date.parse("2026-03-02T00:00:00Z");

  function waiting(changes: Parameters<typeof fakeRules>[0]): RoundTable {
    const table = new RoundTable(fakeRules({ evaluation: { every: 0, patienceMs: 1 }, ...changes }));
    table.now = MIDNIGHT;
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c");
    table.feed({ type: "tick", at: table.now });
    expect(table.phase).toBe("recruiting");
    return table;
  }

  test("begins only while the schedule's window is open, unless it was asked for", () => {
    const schedule = parseSchedule("22:00-04:00 UTC");
    for (const asked of [false, true]) {
      const table = waiting({ schedule });
      table.now += 9 * HOUR_MS;
      if (asked) table.feed({ type: "trigger", at: table.now });
      table.come(...SITES);
      expect(table.phase).toBe(asked ? "training advertising-keys" : "recruiting");
      expect(table.state.triggered).toBe(false);
      if (asked) continue;
      table.now = MIDNIGHT + 22 * HOUR_MS;
      table.come(...SITES);
      expect(table.phase).toBe("training advertising-keys");
    }
  });

  test("a round asked for outside the window begins, however long its clients take to come", () => {
    const table = new RoundTable(
      fakeRules({ evaluation: { every: 0, patienceMs: 1 }, schedule: parseSchedule("22:00-04:00 UTC") }),
    );
    table.now = MIDNIGHT + 9 * HOUR_MS;
    table.state = { ...table.state, round: 0 };
    table.feed({ type: "trigger", at: table.now });
    expect(table.phase).toBe("recruiting");
    table.now += HOUR_MS;
    table.come(...SITES);
    expect(table.phase).toBe("training advertising-keys");
    expect(table.state.triggered).toBe(false);
  });

  test("ends with the federation when its date comes", () => {
    const table = waiting({ stop: { ...fakeRules().stop, untilMs: MIDNIGHT + HOUR_MS } });
    table.pass(HOUR_MS - 1);
    expect(table.phase).toBe("recruiting");
    table.pass(1);
    expect(table.phase).toBe("finished");
  });

  test("does without clients that rest, until they are ready again", () => {
    const table = waiting({});
    table.come("d");
    expect(table.phase).toBe("training advertising-keys");
    const { sid } = currentSum(table.state) as { sid: Sha256 };
    const reason = { code: "POLICY_HOURS", message: "closed" };
    for (const client of ["a", "b", "c", "d"] as ClientName[]) {
      table.feed({ type: "exclude", at: table.now, client, sid, reason, lasting: true });
      table.feed({ type: "resting", at: table.now, client });
    }
    const beat = () => table.pass(1_000, ["a", "b", "c", "d"]);
    for (let second = 0; second < 3_600; second++) beat();
    // The one that was declined, and the one that waits: not one after the other for as long as the sites rest.
    expect(table.rounds().map(({ status }) => status)).toEqual(["failed"]);
    expect(table.phase).toBe("recruiting");
    table.come("a", "b", "c", "d");
    expect(table.phase).toBe("training advertising-keys");
  });
});

describe("every event in every phase", () => {
  const events = (table: RoundTable): RoundEvent[] => {
    const at = table.now;
    const client = "a" as ClientName;
    const sid = currentSum(table.state)?.sid ?? table.signed("a", "unmask").sid;
    const other = "9".repeat(64) as typeof sid;
    const link = { version: 9, paramsHash: other, link: other, serverState: other, sum: other, rejected: {} };
    const totals = { weight: 4, examples: 32, examplesSeen: 64, loss: 0.5, deltaNorm: 1, clippedShare: 0 };
    const reason = { code: "X", message: "x" };
    const steps = ["advertise-keys", "share-keys", "masked-input", "consistency", "unmask", "roster", "share"] as const;
    const who = ["a", "stranger"];
    const phases = [
      "advertising-keys",
      "sharing-keys",
      "collecting-masked-inputs",
      "checking-consistency",
      "unmasking",
    ];
    return [
      { type: "tick", at },
      { type: "tick", at: 0 },
      { type: "started", at, enrolled: [client] },
      ...who.flatMap((name): RoundEvent[] => [
        { type: "connected", at, client: name as ClientName },
        { type: "ready", at, client: name as ClientName, version: 0 },
        { type: "heartbeat", at, client: name as ClientName, sid: other, progress: { step: 1, steps: 2 } },
        { type: "installed", at, client: name as ClientName, version: 3 },
        { type: "resting", at, client: name as ClientName },
        { type: "disconnected", at, client: name as ClientName },
        { type: "exclude", at, client: name as ClientName, sid, reason, lasting: true },
        { type: "exclude", at, client: name as ClientName, sid: other, reason, lasting: false },
        ...steps.flatMap((step): RoundEvent[] => [
          { type: "step", at, client: name as ClientName, signed: table.signed(name, step), vector: null },
          {
            type: "step",
            at,
            client: name as ClientName,
            signed: { ...table.signed(name, step), sid: other },
            vector: { hash: other, bytes: 1 },
          },
        ]),
      ]),
      { type: "recruit", at, round: table.state.round },
      { type: "invite", at, purpose: "training", clients: [], terms: termsOf(table.rules, {}, 4, "training") },
      { type: "invite", at, purpose: "evaluation", clients: [], terms: termsOf(table.rules, {}, 3) },
      ...phases.map((phase) => ({ type: "close", at, sid: other, phase }) as RoundEvent),
      { type: "committed", at, sid: other, ...link, totals },
      { type: "evaluated", at, sid: other, sum: other, summary: { clients: 1, metrics: {}, modelMetrics: null } },
      { type: "sum-failed", at, sid: other, reason },
      { type: "released", at, version: 99, manifestHash: null, reason },
      { type: "pause", at },
      { type: "resume", at },
      { type: "trigger", at },
      { type: "stop", at, reason: "enough" },
      ...ofAnotherPhase(table, reason, { ...link, totals }),
    ];
  };

  /** Events of the very session and round under way, at a time when they mean nothing. */
  const ofAnotherPhase = (
    table: RoundTable,
    reason: { code: string; message: string },
    made: Omit<Extract<RoundEvent, { type: "committed" }>, "type" | "at" | "sid">,
  ): RoundEvent[] => {
    const { state, now: at } = table;
    const { current } = state;
    const sum = currentSum(state);
    const out: RoundEvent[] = [{ type: "recruit", at, round: state.round }];
    const finish: RoundEvent = { type: "finish", at, reason };
    if (!["idle", "failed", "void", "recruiting"].includes(current.phase)) out.push(finish);
    const own = { training: "training", evaluating: "evaluation" }[current.phase as string];
    // While it recruits, a round takes invitations, and may be given up.
    for (const purpose of current.phase === "recruiting" ? [] : (["training", "evaluation"] as const)) {
      if (purpose !== own) out.push({ type: "give-up", at, purpose, outcome: "failed", reason });
      out.push({ type: "invite", at, purpose, clients: SITES as never, terms: termsOf(table.rules, {}, 4) });
    }
    if (current.phase !== "releasing") {
      out.push({ type: "released", at, version: state.version, manifestHash: null, reason });
    }
    if (sum === null) return out;
    const { sid } = sum;
    for (const { phase } of [
      { phase: "advertising-keys" },
      { phase: "sharing-keys" },
      { phase: "collecting-masked-inputs" },
      { phase: "checking-consistency" },
      { phase: "unmasking" },
    ] as const) {
      if (phase !== sum.phase) out.push({ type: "close", at, sid, phase });
    }
    if (current.phase !== "updating") out.push({ type: "committed", at, sid, ...made });
    if (!(current.phase === "evaluating" && sum.phase === "complete")) {
      const summary = { clients: 1, metrics: {}, modelMetrics: null };
      out.push({ type: "evaluated", at, sid, sum: made.sum, summary });
    }
    if (current.phase === "training") out.push({ type: "sum-failed", at, sid, reason });
    return out;
  };

  test("the matrix has every kind of event", () => {
    const kinds = new Set(PHASES.flatMap((phase) => events(tableIn(phase)).map(({ type }) => type)));
    expect([...kinds].toSorted()).toEqual([
      "close",
      "committed",
      "connected",
      "disconnected",
      "evaluated",
      "exclude",
      "finish",
      "give-up",
      "heartbeat",
      "installed",
      "invite",
      "pause",
      "ready",
      "recruit",
      "released",
      "resting",
      "resume",
      "started",
      "step",
      "stop",
      "sum-failed",
      "tick",
      "trigger",
    ] satisfies RoundEvent["type"][]);
  });

  test.each(PHASES)("nothing foreign moves %s, and nothing throws", (phase) => {
    const count = events(tableIn(phase)).length;
    for (let i = 0; i < count; i++) {
      const table = tableIn(phase);
      const before = table.state;
      const event = events(table)[i] as RoundEvent;
      const { state } = transition(table.rules, before, event);
      // The reducer alone never leaves a phase for an event that is not meant to: decisions are events of their own.
      expect(state.current.phase).toBe(before.current.phase);
      expect(currentSum(state)?.phase).toBe(currentSum(before)?.phase);
      expect(state.version).toBe(before.version);
      expect(state.completed).toBe(before.completed);
      // The old state is as it was.
      expect(before).toBe(table.state);
    }
  });

  test.each(PHASES)("what a new process gets from the log in %s is what the old one had", (phase) => {
    const table = new RoundTable(fakeRules());
    table.come(...SITES);
    if (phase === "idle" || phase === "recruiting") return;
    // From the true beginning, so that the log is whole.
    if (phase.startsWith("evaluation") || phase === "updating") table.until("training advertising-keys", ...SITES);
    table.until(phase, ...SITES);
    expect(table.replayed()).toEqual(table.durable);
  });

  test("pending work is asked for again after a restart", () => {
    expect(pendingWork(tableIn("updating").state)).toMatchObject([{ type: "update" }]);
    expect(pendingWork(tableIn("evaluation complete").state)).toMatchObject([{ type: "total" }]);
    expect(pendingWork(tableIn("releasing").state)).toMatchObject([{ type: "release", version: 1 }]);
    expect(pendingWork(tableIn("finished").state)).toMatchObject([{ type: "finished" }]);
    expect(pendingWork(tableIn("training unmasking").state)).toEqual([]);
  });

  test("an outcome that comes twice counts once", () => {
    const table = tableIn("releasing");
    const committed = table.log.find((event): event is DurableEvent => event.type === "committed") as DurableEvent;
    const { state, effects } = transition(table.rules, table.state, committed);
    expect(state).toBe(table.state);
    expect(effects).toEqual([]);
  });
});
