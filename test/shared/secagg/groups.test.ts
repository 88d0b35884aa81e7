import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkGroups } from "../../../client/secagg/groups.ts";
import type { RoundLogEntry } from "../../../client/secagg/round-log.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { fellowsOf, groupsOf } from "../../../shared/secagg/groups.ts";

const crypto = new NodeCrypto();
const configHash = "ab".repeat(32) as Sha256;
const roster = (n: number) => Array.from({ length: n }, (_, i) => `site-${String(i).padStart(3, "0")}` as ClientName);

describe("groups", () => {
  test("are a partition into floor(n / size) parts, none smaller than the size, equal but for one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 64 }), fc.integer({ min: 3, max: 9 }), fc.nat(99), (n, size, round) => {
        const groups = groupsOf(crypto, { configHash, round }, roster(n), size);
        expect(groups).toHaveLength(Math.max(1, Math.floor(n / size)));
        expect(groups.flat().toSorted()).toEqual(roster(n));
        const sizes = groups.map(({ length }) => length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        if (n >= size) expect(Math.min(...sizes)).toBeGreaterThanOrEqual(size);
        for (const group of groups) {
          for (const name of group) expect([...fellowsOf(groups, name), name].toSorted()).toEqual(group);
        }
      }),
    );
  });

  test("are the same for everybody, whatever the attempt, and others in another round", () => {
    const session = { configHash, round: 4 };
    expect(groupsOf(crypto, session, roster(12), 3)).toEqual(groupsOf(crypto, { ...session }, roster(12), 3));
    expect(groupsOf(crypto, { configHash, round: 5 }, roster(12), 3)).not.toEqual(
      groupsOf(crypto, session, roster(12), 3),
    );
  });
});

describe("a client reveals nothing", () => {
  const names = roster(6);
  const groups = [names.slice(0, 3), names.slice(3)];
  const rule = { size: 3, minSurvivors: 3 };
  const now = { purpose: "training", round: 2, attempt: 2 } as const;
  const code = (run: () => void): unknown => {
    try {
      run();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return null;
  };

  test("while a group, be it not its own, has too few survivors", () => {
    expect(code(() => checkGroups([], now, groups, rule, names))).toBeNull();
    expect(code(() => checkGroups([], now, groups, rule, names.slice(1)))).toBe("SECAGG_GROUP_SMALL");
    expect(code(() => checkGroups([], now, groups, rule, names.slice(0, 5)))).toBe("SECAGG_GROUP_SMALL");
    expect(code(() => checkGroups([], now, groups, { size: 3, minSurvivors: 2 }, names.slice(1)))).toBeNull();
  });

  test("in a second attempt of a round that was revealed, even for the same list", () => {
    const entry: RoundLogEntry = {
      type: "revealed",
      ...now,
      attempt: 1,
      parentHash: configHash,
      survivors: [...names],
    };
    expect(code(() => checkGroups([entry], now, groups, rule, names))).toBe("SECAGG_RETRY_ISOLATES");
    expect(code(() => checkGroups([{ ...entry, round: 1 }], now, groups, rule, names))).toBeNull();
    expect(code(() => checkGroups([{ ...entry, purpose: "evaluation" }], now, groups, rule, names))).toBeNull();
  });
});
