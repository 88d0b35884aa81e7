/**
 * Reading what a coordinator shows to everyone alike. A site reads it once. The clients of a simulation, which share one
 * trust, may share the work as well: a roster of 1,000 is then verified once, not 1,000 times.
 */
import type { z } from "zod";
import type { Roster, Survivors } from "../../shared/secagg/messages.ts";
import type { MaskedHash, Members } from "../../shared/secagg/roster.ts";
import { parsePayload } from "../../shared/secagg/signed.ts";

export interface Reading {
  /** As `parsePayload`, for a message to everyone. */
  parse<T>(schema: z.ZodType<T>, heading: { step: string; sender: string }, payload: string): T;
  /** What `open` makes of this roster. */
  members(roster: Roster, open: () => Members): Members;
  /** What `open` makes of this list in a session whose members and sharers are named by `key`. */
  hashes(list: Survivors, key: string, open: () => readonly MaskedHash[]): readonly MaskedHash[];
}

/** Of one client: everything is read as it comes. */
export const OWN_READING: Reading = {
  parse: parsePayload,
  members: (_roster, open) => open(),
  hashes: (_list, _key, open) => open(),
};

/** Of clients in one process that trust the same authority and know the same revocations. Only what was right is kept. */
export function sharedReading(): Reading {
  /** The newest message of each step. */
  const texts = new Map<string, { readonly payload: string; readonly value: unknown }>();
  const rosters = new WeakMap<Roster, Members>();
  const lists = new WeakMap<Survivors, { readonly key: string; readonly hashes: readonly MaskedHash[] }>();
  return {
    parse: (schema, heading, payload) => {
      const known = texts.get(heading.step);
      if (known?.payload === payload) return known.value as ReturnType<typeof schema.parse>;
      const value = parsePayload(schema, heading, payload);
      texts.set(heading.step, { payload, value });
      return value;
    },
    members: (roster, open) => {
      const members = rosters.get(roster) ?? open();
      rosters.set(roster, members);
      return members;
    },
    hashes: (list, key, open) => {
      const known = lists.get(list);
      if (known?.key === key) return known.hashes;
      const hashes = open();
      lists.set(list, { key, hashes });
      return hashes;
    },
  };
}
