import { describe, expect, test } from "@jest/globals";
import { crossCheck } from "../../../shared/audit/cross-check.ts";
import { NOTHING_BEFORE, type AuditEntry } from "../../../shared/audit/entry.ts";
import type { Sha256 } from "../../../shared/ids.ts";

const sid = (digit: number): string => String(digit).repeat(64);
const place = { purpose: "training", round: 1, attempt: 1 };
const clients = ["a", "b", "c"];
const digest = sid(8);
const manifestHash = sid(7);

function log(...acts: [act: string, facts: Record<string, unknown>][]): AuditEntry[] {
  return acts.map(([act, facts], i) => ({
    n: i + 1,
    at: "2026-01-01T00:00:00Z",
    act,
    facts,
    previous: NOTHING_BEFORE,
  }));
}

const invited = { sid: sid(1), ...place, clients };
const ended = { sid: sid(1), ...place, outcome: "completed", transcriptDigest: digest };
const ENTRIES: [string, Record<string, unknown>][] = [
  ["session invited", invited],
  ["session ended", { ...ended, survivors: clients }],
  ["release published", { version: 1, manifestHash }],
];
const coordinator = log(...ENTRIES);
const SITE: [string, Record<string, unknown>][] = [
  ["site joined", { client: "a" }],
  ["took part", { sid: sid(1), ...place }],
  ["revealed", { sid: sid(1), survivors: clients }],
  ["session ended", ended],
  ["release installed", { version: 1, manifestHash }],
];
const changed = (act: string, facts: Record<string, unknown>): AuditEntry[] =>
  log(
    ...SITE.map(([name, own]): [string, Record<string, unknown>] => [name, name === act ? { ...own, ...facts } : own]),
  );
const without = (act: string): AuditEntry[] => log(...SITE.filter(([name]) => name !== act));

describe("both sides", () => {
  test("agree", () => expect(crossCheck(coordinator, log(...SITE))).toEqual([]));

  test.each([
    ["a session that the coordinator does not have", changed("took part", { sid: sid(2) }), /took part/],
    [
      "another survivor list",
      changed("revealed", { survivors: ["a", "b"] }),
      /revealed for a, b, the coordinator summed a, b, c/,
    ],
    ["another outcome", changed("session ended", { outcome: "void" }), /void at the site/],
    ["another transcript", changed("session ended", { transcriptDigest: sid(6) }), /another transcript/],
    ["another release", changed("release installed", { manifestHash: sid(6) }), /another manifest/],
    [
      "a release that was never published",
      changed("release installed", { version: 2 }),
      /not in the coordinator's log/,
    ],
    ["a round that the site does not have", without("took part"), /whose log does not have it/],
    ["a site that does not say who it is", without("site joined"), /does not say that it joined/],
    ["a site that was never invited", changed("site joined", { client: "z" }), /among those invited/],
  ])("differ by %s", (_what, site, words) => {
    expect(
      crossCheck(coordinator, site)
        .map(({ what }) => what)
        .join("; "),
    ).toMatch(words);
  });

  test("a site's log that another key has signed is found out by the key that the site joined with", () => {
    const [own, other] = [sid(3) as Sha256, sid(4) as Sha256];
    const joined = log(["site joined", { client: "a", key: own }], ...ENTRIES);
    expect(crossCheck(joined, log(...SITE), own)).toEqual([]);
    expect(crossCheck(joined, log(...SITE), other)).toMatchObject([
      { what: expect.stringMatching(/never joined with/) },
    ]);
  });

  test("a coordinator that writes down two ends of one session is found out, whichever comes last", () => {
    const lie: (typeof ENTRIES)[number] = ["session ended", { ...ended, survivors: ["a", "b"] }];
    expect(crossCheck(log(lie, ...ENTRIES), log(...SITE))).toMatchObject([{ what: expect.stringMatching(/two ends/) }]);
  });

  test("a coordinator whose log lost a round is found out by a site", () => {
    expect(crossCheck(coordinator.slice(2), log(...SITE))).toHaveLength(3);
  });
});
