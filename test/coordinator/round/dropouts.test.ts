import { describe, expect, test } from "@jest/globals";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { neededSurvivors } from "../../../shared/secagg/thresholds.ts";
import { currentSum } from "../../../coordinator/round/transition.ts";
import { fakeRules, RoundTable, withoutPresence } from "../../fakes/round-table.ts";

const STEPS = [
  "training advertising-keys",
  "training sharing-keys",
  "training collecting-masked-inputs",
  "training checking-consistency",
  "training unmasking",
] as const;
const ALL = ["a", "b", "c", "d", "e", "f"];

/** Round 1 with n clients, of whom some vanish when they should answer the given step; the others go on. */
function roundWithout(n: number, vanish: Readonly<Record<string, (typeof STEPS)[number]>>): RoundTable {
  const table = new RoundTable(fakeRules({ cohort: { fraction: 1, min: n, max: 16, overSelect: 1 }, attempts: 1 }));
  table.state = { ...table.state, round: 0 };
  const sites = ALL.slice(0, n);
  table.come(...sites);
  const alive = new Set(sites);
  for (let i = 0; i < 40; i++) {
    const { phase } = table;
    if (!phase.startsWith("training")) break;
    for (const [client, step] of Object.entries(vanish)) {
      if (alive.has(client) && step === phase) {
        alive.delete(client);
        table.go(client);
      }
    }
    table.answer(...[...alive].filter(() => table.phase === phase));
    if (table.phase === phase) for (let s = 0; s < 4; s++) table.pass(1_000, [...alive]);
  }
  return table;
}

/** Up to permutation: the first client vanishes at one step, or the first two at two. */
const PATTERNS: Record<string, (typeof STEPS)[number]>[] = [
  {},
  ...STEPS.map((step) => ({ a: step })),
  ...STEPS.flatMap((first, i) => STEPS.slice(i).map((second) => ({ a: first, b: second }))),
];

describe.each([4, 5, 6])("%i clients", (n) => {
  test.each(PATTERNS.map((pattern) => [JSON.stringify(pattern), pattern] as const))(
    "vanishing: %s",
    (_name, pattern) => {
      const table = roundWithout(n, pattern);
      const gone = (upTo: number): number => Object.values(pattern).filter((step) => STEPS.indexOf(step) < upTo).length;
      // Those who vanish before advertising are not on the roster, and the cohort's minimum is not reached.
      const roster = n - gone(1);
      const needed = neededSurvivors(roster, "malicious", 3);
      const survivors = n - gone(3);
      if (roster < n) {
        expect(table.phase).toBe("failed");
      } else if (survivors < needed || n - gone(4) < needed) {
        expect(table.phase).toBe("failed");
        // Nothing was asked for that reveals anything.
        expect(table.effects.some((e) => e.type === "send" && e.message.type === "signatures")).toBe(false);
      } else if (n - gone(5) < needed) {
        // Shares may be known: nothing but the same list can end it, so it waits.
        expect(table.phase).toBe("training unmasking");
      } else {
        expect(table.phase).toBe("updating");
        const { current } = table.state;
        const gone3 = Object.entries(pattern).filter(([, step]) => STEPS.indexOf(step) < 3);
        const names = ALL.slice(0, n).filter((name) => !gone3.some(([client]) => client === name));
        expect(current.phase === "updating" && current.facts.survivors).toEqual(names);
      }
    },
  );
});

describe("a client that vanishes", () => {
  const start = (): RoundTable => {
    const table = new RoundTable(fakeRules());
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c", "d", "e");
    return table;
  };

  test("is noticed within seconds, not at the deadline", () => {
    const table = start();
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    table.answer("a", "b", "c", "d");
    table.go("e");
    table.pass(2_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("training collecting-masked-inputs");
    table.pass(1_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("training checking-consistency");
  });

  test("may be silent for longer while its connection stands", () => {
    const table = start();
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    table.answer("a", "b", "c", "d");
    for (let s = 0; s < 9; s++) table.pass(1_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("training collecting-masked-inputs");
    table.pass(1_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("training checking-consistency");
  });

  test("may train for an hour as long as it makes progress", () => {
    const table = start();
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    table.answer("a", "b", "c", "d");
    const sid = currentSum(table.state)?.sid as Sha256;
    const client = "e" as ClientName;
    for (let step = 0; step < 3_600; step++) {
      table.pass(1_000, ["a", "b", "c", "d"]);
      const progress = { step: Math.floor(step / 600), steps: 7 };
      table.feed({ type: "heartbeat", at: table.now, client, sid, progress });
    }
    expect(table.phase).toBe("training collecting-masked-inputs");
    // Then nothing moves any more for half an hour.
    for (let s = 0; s < 31 * 60 && table.phase === "training collecting-masked-inputs"; s++) {
      table.pass(1_000, ["a", "b", "c", "d"]);
      table.feed({ type: "heartbeat", at: table.now, client, sid, progress: { step: 5, steps: 7 } });
    }
    expect(table.phase).toBe("training checking-consistency");
  });

  test("and comes back hears again what it must answer", () => {
    const table = start();
    table.until("training sharing-keys", "a", "b", "c", "d", "e");
    table.answer("a", "b", "c", "d");
    table.go("e");
    table.mail.set("e" as ClientName, []);
    table.pass(1_000, ["a", "b", "c", "d"]);
    table.come("e");
    expect(table.mail.get("e" as ClientName)?.map(({ type }) => type)).toContain("roster");
    table.answer("e");
    expect(table.phase).toBe("training collecting-masked-inputs");
  });

  test("and was restarted is a dropout of the attempt at once, and a client of the next round", () => {
    const table = start();
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    table.answer("a", "b", "c", "d");
    table.go("e");
    table.come("e");
    table.beat("e", null);
    expect(table.phase).toBe("training checking-consistency");
    const { current } = table.state;
    expect(current.phase === "training" && current.sum.excluded["e" as ClientName]?.code).toBe("ROUND_FORGOTTEN");
    expect(current.phase === "training" && current.sum.excluded["e" as ClientName]?.lasting).toBe(false);
  });

  test("away during the consistency check sees the list before the signatures", () => {
    const table = start();
    table.until("training checking-consistency", "a", "b", "c", "d", "e");
    table.go("e");
    table.answer("a", "b", "c", "d");
    for (let s = 0; s < 3; s++) table.pass(1_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("training unmasking");
    table.mail.set("e" as ClientName, []);
    table.come("e");
    const asked = new Set(table.mail.get("e" as ClientName)?.map(({ type }) => type));
    asked.delete("ended");
    expect([...asked]).toEqual(["survivors", "signatures"]);
    table.answer("e", "a", "b", "c");
    expect(table.phase).toBe("updating");
  });
});

describe("the retry rule", () => {
  const table4 = (): RoundTable => {
    const table = new RoundTable(fakeRules());
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c", "d");
    return table;
  };

  test("before anything is revealed an attempt fails freely, and the next has fresh keys", () => {
    const table = table4();
    table.until("training checking-consistency", "a", "b", "c", "d");
    const first = currentSum(table.state)?.sid;
    table.go("a", "b");
    for (let s = 0; s < 4; s++) table.pass(1_000, ["c", "d"]);
    expect(table.phase).toBe("recruiting");
    table.come("a", "b");
    table.pass(1, ["c", "d"]);
    expect(table.phase).toBe("training advertising-keys");
    const again = currentSum(table.state);
    expect(again?.session).toMatchObject({ round: 1, attempt: 2 });
    expect(again?.sid).not.toBe(first);
    expect(again?.advertised).toEqual({});
    table.until("updating", "a", "b", "c", "d");
    expect(table.state.current).toMatchObject({ facts: { attempts: 2 } });
  });

  test("once shares may be known only the same list resumes", () => {
    const table = table4();
    table.until("training unmasking", "a", "b", "c", "d");
    const before = currentSum(table.state);
    table.answer("a");
    table.go("b", "c", "d");
    for (let s = 0; s < 500; s++) table.pass(1_000, ["a"]);
    expect(table.phase).toBe("training unmasking");
    table.come("b", "c");
    table.answer("b", "c");
    expect(table.phase).toBe("updating");
    expect(currentSum(table.state)?.sid).toBe(before?.sid);
  });

  test("after the patience the round is void, and the next starts from the same parent", () => {
    const table = table4();
    table.until("training unmasking", "a", "b", "c", "d");
    table.answer("a");
    table.go("b", "c", "d");
    for (let s = 0; s < 600; s++) table.pass(1_000, ["a"]);
    expect(table.phase).toBe("void");
    const ended = table.effects.flatMap((e) => (e.type === "send" && e.message.type === "ended" ? [e.message] : []));
    expect(ended.at(-1)?.ended).toMatchObject({ outcome: "void", reason: { code: "ROUND_VOID" } });
    expect(table.rounds().at(-1)).toMatchObject({ status: "failed", reason: { code: "ROUND_VOID" } });
    const { version, paramsHash } = table.state;
    table.come("b", "c", "d");
    for (let s = 0; s < 3; s++) table.pass(1_000, ["a", "b", "c", "d"]);
    expect(currentSum(table.state)?.session).toMatchObject({ round: 2, attempt: 1, parentHash: paramsHash });
    expect(table.state.version).toBe(version);
  });

  test("survivors who lost their secrets make it void at once", () => {
    const table = table4();
    table.until("training unmasking", "a", "b", "c", "d");
    table.answer("a");
    for (const client of ["b", "c"]) {
      table.go(client);
      table.come(client);
      table.beat(client, null);
    }
    expect(table.phase).toBe("void");
  });

  test("the patience begins again when the coordinator comes back", () => {
    const table = table4();
    table.until("training unmasking", "a", "b", "c", "d");
    table.now += 3_600_000;
    table.state = { ...table.state, presence: { since: table.now, deafMs: 0, members: new Map() } };
    table.feed({ type: "started", at: table.now, enrolled: ["a", "b", "c", "d"] as ClientName[] });
    expect(table.phase).toBe("training unmasking");
    table.come("a", "b", "c");
    table.answer("a", "b", "c");
    expect(table.phase).toBe("updating");
    expect(table.replayed()).toEqual(withoutPresence(table.state));
  });

  test("a sum that cannot be right makes the round void, never the version worse", () => {
    const table = table4();
    table.until("updating", "a", "b", "c", "d");
    const sid = currentSum(table.state)?.sid as Sha256;
    const reason = { code: "AGGREGATE_WEIGHT", message: "total weight 0" };
    table.feed({ type: "sum-failed", at: table.now, sid, reason });
    expect(table.phase).toBe("void");
    expect(table.state).toMatchObject({ version: 0, completed: 0, failures: 1 });
  });

  test("gives up after so many attempts, and the round after it waits longer and longer", () => {
    const table = new RoundTable(fakeRules({ attempts: 2, stop: { ...fakeRules().stop, failures: 2 } }));
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c", "d");
    for (let s = 0; s < 400 && table.phase !== "finished"; s++) table.pass(1_000, ["a", "b", "c", "d"]);
    // Nobody ever answers: two attempts of two minutes each, twice.
    expect(table.phase).toBe("training advertising-keys");
    for (let s = 0; s < 400 && table.phase !== "finished"; s++) table.pass(1_000, ["a", "b", "c", "d"]);
    expect(table.phase).toBe("finished");
    expect(table.state.current).toMatchObject({ reason: { code: "ROUND_FAILED" } });
    expect(table.rounds().map(({ facts }) => [facts.round, facts.attempts])).toEqual([
      [1, 2],
      [2, 2],
    ]);
  });

  test("a client that could not train is left out of the round's retries until it is ready again", () => {
    const table = new RoundTable(fakeRules());
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c", "d", "e");
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    const sid = currentSum(table.state)?.sid as Sha256;
    const reason = { code: "TRAINING_FAILED", message: "e: NaN" };
    table.feed({ type: "exclude", at: table.now, client: "e" as ClientName, sid, reason, lasting: true });
    table.go("d");
    for (let s = 0; s < 4; s++) table.pass(1_000, ["a", "b", "c", "e"]);
    expect(table.phase).toBe("recruiting");
    table.come("d");
    expect(currentSum(table.state)?.invited).toEqual(["a", "b", "c", "d"]);
  });
});

describe("a client that is refused", () => {
  test("hears why, and the round goes on without it", () => {
    const table = new RoundTable(fakeRules());
    table.state = { ...table.state, round: 0 };
    table.come("a", "b", "c", "d", "e");
    table.until("training collecting-masked-inputs", "a", "b", "c", "d", "e");
    const sid = currentSum(table.state)?.sid as Sha256;
    const reason = { code: "UPDATE_SHAPE", message: "e sends 3 words, expected 4" };
    table.feed({ type: "exclude", at: table.now, client: "e" as ClientName, sid, reason, lasting: true });
    const told = table.mail.get("e" as ClientName)?.at(-1);
    expect(told).toMatchObject({ type: "ended", ended: { outcome: "failed", reason } });
    // Whatever it sends now is not counted.
    table.step("e", "masked-input");
    table.answer("a", "b", "c", "d");
    expect(table.phase).toBe("training checking-consistency");
    const sum = currentSum(table.state);
    expect(sum !== null && "inputs" in sum && Object.keys(sum.inputs).toSorted()).toEqual(["a", "b", "c", "d"]);
  });
});
