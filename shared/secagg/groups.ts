/**
 * Groups of a cohort, each summed by itself, so that a robust rule can compare the groups' means. They follow from the plan,
 * the round and the roster alone, so that a repeated attempt with the same roster has the same. Whoever picks the roster can
 * try rosters until one suits: in a group of m survivors, m - 1 that help the coordinator tell it the update of the last one.
 */
import { hexToBytes, bytesToHex } from "@noble/hashes/utils.js";
import type { ClientName } from "../ids.ts";
import type { CryptoPort } from "./crypto-port.ts";
import { compareNames, encodeTuple } from "./encoding.ts";
import type { SessionContext } from "./session.ts";

/** Of the plan. */
export interface GroupRule {
  /** Clients of a group, at least. */
  readonly size: number;
  /** Survivors of every group, at least: with fewer the attempt ends. */
  readonly minSurvivors: number;
}

/**
 * A roster in floor(n / size) groups whose sizes differ by one at most; one group where there are fewer than twice `size`.
 * In each, names are sorted.
 */
export function groupsOf(
  crypto: Pick<CryptoPort, "sha256">,
  { configHash, round }: Pick<SessionContext, "configHash" | "round">,
  roster: readonly ClientName[],
  size: number,
): ClientName[][] {
  const drawn = roster.map((name) => ({
    name,
    lot: bytesToHex(crypto.sha256(encodeTuple("allulook/group/v1", hexToBytes(configHash), round, name))),
  }));
  const order = drawn.toSorted((a, b) => compareNames(a.lot, b.lot)).map(({ name }) => name);
  const count = Math.max(1, Math.floor(roster.length / size));
  return Array.from({ length: count }, (_, group) =>
    order.filter((_name, i) => i % count === group).toSorted(compareNames),
  );
}

/** The others of a client's own group. */
export function fellowsOf(groups: readonly (readonly ClientName[])[], self: ClientName): ReadonlySet<ClientName> {
  return new Set(groups.find((group) => group.includes(self))?.filter((name) => name !== self));
}
