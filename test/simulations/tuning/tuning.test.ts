import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CodedError } from "../../../shared/errors.ts";
import { promoted, ranked, rungsOf } from "../../../simulations/tuning/halving.ts";
import { Journal } from "../../../simulations/tuning/journal.ts";
import { search, type Turn } from "../../../simulations/tuning/search.ts";
import { drawTrials, objectiveOf, searchFile, settingText } from "../../../simulations/tuning/space.ts";
import { resultTable } from "../../../simulations/tuning/table.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tuning-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const space = {
  rate: { log: [0.001, 0.1] },
  batch: { range: [2, 5], integer: true },
  share: { range: [-1, 1] },
  name: ["adam", { name: "sgd" }, null],
};
const parsed = (over: object = {}) => searchFile.parse({ space, ...over });

describe("rungs", () => {
  test("of nine trials at eta 3", () => {
    expect(rungsOf(9, parsed())).toEqual([
      { trials: 9, rounds: 1 },
      { trials: 3, rounds: 3 },
      { trials: 1, rounds: 9 },
    ]);
  });

  test("rise to exactly the most rounds, and keep one in eta", () => {
    const searches = fc.record({
      eta: fc.integer({ min: 2, max: 5 }),
      least: fc.integer({ min: 1, max: 5 }),
      more: fc.integer({ min: 0, max: 200 }),
      trials: fc.integer({ min: 2, max: 100 }),
    });
    fc.assert(
      fc.property(searches, ({ eta, least, more, trials }) => {
        const rungs = rungsOf(trials, { eta, rounds: { least, most: least + more } });
        expect(rungs[0]).toEqual({ trials, rounds: least });
        expect(rungs.at(-1)?.rounds).toBe(least + more);
        for (const [k, { rounds, trials: kept }] of rungs.slice(1).entries()) {
          expect(rounds).toBeGreaterThan(rungs[k]?.rounds ?? 0);
          expect(kept).toBe(Math.max(1, Math.floor(trials / eta ** (k + 1))));
        }
      }),
    );
  });

  test("the best go on: failures never, equals by number", () => {
    const standings = [0.2, null, 0.5, 0.5, -0.1].map((score, trial) => ({ trial, score }));
    expect(ranked(standings, "higher").map(({ trial }) => trial)).toEqual([2, 3, 0, 4, 1]);
    expect(promoted(standings, { trials: 2, rounds: 3 }, "lower")).toEqual([4, 0]);
    expect(promoted([{ trial: 0, score: null }], { trials: 1, rounds: 3 }, "higher")).toEqual([]);
  });
});

describe("trials", () => {
  test("lie in the space, differ, and are those of the seed", () => {
    const trials = drawTrials(parsed({ trials: 200 }), () => null);
    expect(trials.length).toBe(200);
    expect(new Set(trials.map((each) => JSON.stringify(each))).size).toBe(200);
    expect(drawTrials(parsed({ trials: 200 }), () => null)).toEqual(trials);
    expect(drawTrials(parsed({ trials: 200, seed: 8 }), () => null)).not.toEqual(trials);
    const column = (field: string) => trials.map((each) => each[field] as number);
    const within = (field: string, low: number, high: number) =>
      column(field).every((value) => value >= low && value <= high);
    expect([within("rate", 0.001, 0.1), within("batch", 2, 5), within("share", -1, 1)]).toEqual([true, true, true]);
    expect([...new Set(column("batch"))].toSorted()).toEqual([2, 3, 4, 5]);
    expect(new Set(column("name").map((value) => JSON.stringify(value))).size).toBe(3);
    // Uniform in the logarithm: as many below the geometric mean as above.
    const low = column("rate").filter((rate) => rate < 0.01).length;
    expect(Math.abs(low - 100)).toBeLessThan(30);
  });

  test("a small space has fewer; what federation.yaml refuses is drawn again, and thrown where nothing is left", () => {
    const small = searchFile.parse({ space: { a: [1, 2], b: [3, 4] } });
    expect(drawTrials(small, () => null).length).toBe(4);
    const odd = new CodedError("CONFIG_INVALID", "a and b do not fit");
    expect(drawTrials(small, ({ a, b }) => (a === 1 && b === 3 ? odd : null)).length).toBe(3);
    expect(() => drawTrials(small, () => odd)).toThrow(odd);
  });

  test("what decides the comparison is not searched, and intervals run upwards", () => {
    const fails = (over: object) => expect(searchFile.safeParse(over).success).toBe(false);
    for (const field of ["schedule.rounds", "seed", "evaluation.holdout", "labels.scene", "a b"]) {
      fails({ space: { [field]: [1, 2] } });
    }
    for (const from of [{ range: [2, 1] }, { log: [0, 1] }, [], { range: [1, 2], step: 1 }])
      fails({ space: { a: from } });
    fails({ space: {} });
    fails({ space, rounds: { least: 5, most: 3 } });
    expect(() => objectiveOf("segmentation.iou")).toThrow(CodedError);
    expect(objectiveOf("depth.absRel")).toEqual({ head: "depth", metric: "absRel", better: "lower" });
    expect(objectiveOf("scene.auroc").better).toBe("higher");
    expect(settingText(["a.b", { x: [1] }])).toBe('a.b={"x":[1]}');
  });
});

describe("a search", () => {
  const rules = { eta: 2, rounds: { least: 1, most: 4 } };
  const trials = [0.3, 0.9, 0.5, 0.1].map((quality) => ({ quality }));
  const score = ({ settings, rungs, rung }: Turn) => (settings["quality"] as number) * (rungs[rung]?.rounds ?? 0);
  const running =
    (log: string[], dieAt = Number.POSITIVE_INFINITY) =>
    async (turn: Turn) => {
      if (log.length === dieAt) throw new Error("killed");
      log.push(`${turn.trial}@${turn.rungs[turn.rung]?.rounds}`);
      // The third trial fails on its second rung.
      const failed = turn.trial === 2 && turn.rung === 1;
      return { score: failed ? null : score(turn), reason: failed ? "diverged" : null, seconds: 1 };
    };

  test("gives rounds to the best, and ranks by the rung reached", async () => {
    const log: string[] = [];
    const journal = await Journal.open(join(dir, "whole.jsonl"), { rules });
    const results = await search(rules, trials, "higher", journal, running(log));
    expect(log).toEqual(["0@1", "1@1", "2@1", "3@1", "1@2", "2@2", "1@4"]);
    expect(results.map(({ trial, scores }) => [trial, ...scores])).toEqual([
      [1, 0.9, 1.8, 3.6],
      [2, 0.5, null],
      [0, 0.3],
      [3, 0.1],
    ]);
    const table = resultTable(results, { ...rules, space: { quality: [1] } }, objectiveOf("scene.accuracy"));
    expect(table).toContain("failed");
    expect(table).toContain("trial 3: diverged");
    expect(table.split("\n")[1]).toMatch(/trial +round 1 +round 2 +round 4 +quality/);
  });

  test("goes on where it was killed, wherever that was, to the same results", async () => {
    const undisturbed = await search(rules, trials, "higher", await Journal.open(join(dir, "u.jsonl"), 1), running([]));
    for (let dieAt = 0; dieAt < 7; dieAt++) {
      const path = join(dir, `killed-${dieAt}.jsonl`);
      const before: string[] = [];
      const dying = search(rules, trials, "higher", await Journal.open(path, 1), running(before, dieAt));
      await expect(dying).rejects.toThrow("killed");
      const after: string[] = [];
      const results = await search(rules, trials, "higher", await Journal.open(path, 1), running(after));
      expect(results).toEqual(undisturbed);
      expect(before.length + after.length).toBe(7);
    }
  });

  test("does not go on with the journal of another search, or of something else", async () => {
    const path = join(dir, "other.jsonl");
    await (await Journal.open(path, { seed: 1 })).add({ rung: 0, trial: 0, score: 1, reason: null, seconds: 1 });
    await expect(Journal.open(path, { seed: 2 })).rejects.toMatchObject({ code: "USAGE" });
    expect((await Journal.open(path, { seed: 1 })).entries.length).toBe(1);
    await writeFile(path, "nothing of ours\n");
    await expect(Journal.open(path, { seed: 1 })).rejects.toMatchObject({ code: "USAGE" });
  });
});
