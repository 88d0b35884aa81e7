import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openRoundLog } from "../../../client/secagg/round-log-file.ts";
import { checkJoin, checkReveal, type RoundLogEntry } from "../../../client/secagg/round-log.ts";
import { isCoded } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { fakeFederation, fakeSession } from "../../fakes/secagg.ts";

const session = fakeSession(fakeFederation(1));
const { purpose, parentHash } = session;

function revealed(survivors: readonly string[], attempt = 0, round = 1): RoundLogEntry {
  return { type: "revealed", purpose, round, attempt, parentHash, survivors: survivors as ClientName[] };
}

describe("the retry rule", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const subset = fc.subarray(names, { minLength: 3 });

  test("however often a round is tried again, only one list is ever revealed", () => {
    fc.assert(
      fc.property(fc.array(subset, { minLength: 1, maxLength: 6 }), (lists) => {
        const log: RoundLogEntry[] = [];
        for (const [attempt, list] of lists.entries()) {
          let refused = false;
          try {
            checkReveal(log, { ...session, attempt }, list);
            log.push(revealed(list, attempt));
          } catch (error) {
            refused = isCoded(error, "SECAGG_RETRY_ISOLATES");
          }
          expect(refused).toBe(list.join() !== lists[0]?.join());
        }
      }),
      { numRuns: 500 },
    );
  });

  test("other rounds and purposes do not count", () => {
    const now = { ...session, round: 2 };
    expect(() => checkReveal([revealed(["a", "b", "c", "d"])], now, ["a", "b", "c"])).not.toThrow();
    const scoring: RoundLogEntry = { ...revealed(["a", "b", "c", "d"]), purpose: "evaluation" };
    expect(() => checkReveal([scoring], session, ["a", "b", "c"])).not.toThrow();
    expect(() => checkReveal([revealed(["a", "b", "c", "d"])], session, ["a", "b", "c"])).toThrow(/revealed, by d$/);
  });
});

describe("an evaluation, which is the same numbers in every round", () => {
  const all = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const scored: RoundLogEntry = { ...revealed(all), purpose: "evaluation" };
  const again = { ...session, purpose: "evaluation", attempt: 1 } as const;
  const isolates = (context: typeof again, list: readonly string[]) => {
    try {
      checkReveal([scored], context, list);
      return false;
    } catch (error) {
      expect(isCoded(error, "SECAGG_RETRY_ISOLATES")).toBe(true);
      return true;
    }
  };

  test("of one version is revealed again, in whatever round, for the identical list only", () => {
    for (const round of [1, 2, 9]) {
      expect(isolates({ ...again, round }, all)).toBe(false);
      expect(isolates({ ...again, round }, all.slice(1))).toBe(true);
      expect(isolates({ ...again, round }, all.slice(4))).toBe(true);
      expect(isolates({ ...again, round }, [...all, "i"])).toBe(true);
    }
  });

  test("of another version is free", () => {
    const other = { ...again, round: 2, parentHash: "0".repeat(64) as typeof parentHash };
    expect(isolates(other, all.slice(1))).toBe(false);
  });
});

describe("joining", () => {
  test("only above everything joined before", () => {
    const joined: RoundLogEntry = { type: "joined", purpose, round: 3, attempt: 2, parentHash };
    const allowed = (round: number, attempt: number) => {
      try {
        checkJoin([joined], { ...session, round, attempt }, true);
        return true;
      } catch (error) {
        expect(isCoded(error, "SECAGG_ATTEMPT_REPLAYED")).toBe(true);
        return false;
      }
    };
    expect([allowed(3, 3), allowed(4, 0)]).toEqual([true, true]);
    expect([allowed(3, 2), allowed(3, 1), allowed(2, 9)]).toEqual([false, false, false]);
  });
});

describe("the log on disk", () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "round-log-"));
    path = join(folder, "rounds.jsonl");
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("keeps what was appended, in order", async () => {
    const log = await openRoundLog(path);
    const entries = [revealed(["a", "b", "c"]), revealed(["a", "b", "d"], 1), revealed(["c"], 2)];
    await Promise.all(entries.map((entry) => log.append(entry)));
    expect(log.entries()).toEqual(entries);
    expect((await openRoundLog(path)).entries()).toEqual(entries);
  });

  test("drops a line torn by a crash and goes on after it", async () => {
    const log = await openRoundLog(path);
    await log.append(revealed(["a", "b", "c"]));
    await appendFile(path, '{"type":"revealed","purp');
    const again = await openRoundLog(path);
    expect(again.entries()).toHaveLength(1);
    await again.append(revealed(["a", "b", "c"], 1));
    expect((await openRoundLog(path)).entries()).toHaveLength(2);
  });

  test("does not guess what a damaged line said", async () => {
    const log = await openRoundLog(path);
    await log.append(revealed(["a", "b", "c"]));
    await writeFile(path, (await readFile(path, "utf8")).replace("revealed", "rewealed"));
    await expect(openRoundLog(path)).rejects.toMatchObject({ code: "STORE_CORRUPT", details: { line: 1 } });
  });
});
