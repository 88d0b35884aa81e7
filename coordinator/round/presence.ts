/**
 * Who is there. Clients are heard by their heartbeats; after three missed ones a client counts as gone, except that
 * one whose connection still stands while it trains may be too busy to speak and gets more time.
 */
import type { ClientName } from "../../shared/ids.ts";
import type { Rules } from "./rules.ts";
import type { Member, PassingEvent, Presence } from "./state.ts";

const MISSED = 3;
const MISSED_WHILE_CONNECTED = 10;
/** How long clients have to come back after the coordinator was restarted. */
const RETURN_MS = 10_000;
/** How long a connected client usually takes, at most, to read the plan and say that it is ready. */
const SETTLE_MS = 3_000;
/** Who came and went without saying so is not waited for again within this time. */
const IN_VAIN_MS = 60_000;
/** Training without any progress for so long is given up. */
const STALLED_MS = 30 * 60_000;

const STRANGER: Member = {
  connected: false,
  lastSeen: Number.NEGATIVE_INFINITY,
  expectedUntil: Number.NEGATIVE_INFINITY,
  readyAt: null,
  version: -1,
  sid: undefined,
  progress: null,
};

export function memberOf(presence: Presence, client: ClientName): Member {
  return presence.members[client] ?? STRANGER;
}

export function emptyPresence(at: number): Presence {
  return { since: at, members: {} };
}

/** The presence after something was heard. */
export function hear(presence: Presence, event: PassingEvent): Presence {
  switch (event.type) {
    case "tick":
      return presence;
    case "started": {
      const expected = { ...STRANGER, expectedUntil: event.at + RETURN_MS };
      const returning = Object.fromEntries(event.enrolled.map((name) => [name, expected]));
      // Some may have been quicker than this process's own start.
      return { since: event.at, members: { ...returning, ...presence.members } };
    }
    case "connected": {
      // Perhaps another process than before: it says itself when it is ready (again), which takes a moment.
      const before = memberOf(presence, event.client);
      const inVain = before.readyAt === null && event.at - before.lastSeen < IN_VAIN_MS;
      const expectedUntil = inVain ? before.expectedUntil : Math.max(before.expectedUntil, event.at + SETTLE_MS);
      return update(presence, event.client, { connected: true, lastSeen: event.at, readyAt: null, expectedUntil });
    }
    case "disconnected":
      // What it last said still stands: a short interruption is no absence.
      return update(presence, event.client, { connected: false, lastSeen: event.at });
    case "ready":
      return update(presence, event.client, { lastSeen: event.at, readyAt: event.at, version: event.version });
    case "resting":
      return update(presence, event.client, { lastSeen: event.at, readyAt: null });
    case "installed":
      return update(presence, event.client, { lastSeen: event.at, version: event.version });
    case "heartbeat": {
      const { sid, progress: known } = memberOf(presence, event.client);
      // Steps back are no progress: else a client could stay at it for ever.
      const stands =
        known !== null && event.progress !== null && sid === event.sid && event.progress.step <= known.step;
      const progress = event.progress === null ? null : stands ? known : { ...event.progress, changedAt: event.at };
      return update(presence, event.client, { lastSeen: event.at, sid: event.sid, progress });
    }
  }
}

/** A step of a session proves that the client is in it. */
export function heardStep(presence: Presence, client: ClientName, sid: string, at: number): Presence {
  const before = memberOf(presence, client);
  return update(presence, client, { lastSeen: Math.max(before.lastSeen, at), sid });
}

function update(presence: Presence, client: ClientName, change: Partial<Member>): Presence {
  const member = { ...memberOf(presence, client), ...change };
  return { ...presence, members: { ...presence.members, [client]: member } };
}

/** Silent for too long, or disconnected where that is what counts. */
export function isGone(rules: Rules, presence: Presence, client: ClientName, now: number): boolean {
  const member = memberOf(presence, client);
  if (now < member.expectedUntil && member.lastSeen < presence.since) return false;
  if (rules.liveness === "connection") return !member.connected;
  const missed = member.connected ? MISSED_WHILE_CONNECTED : MISSED;
  return now - member.lastSeen >= missed * rules.heartbeatMs;
}

/** It trains, but nothing has moved for too long. */
export function isStalled(presence: Presence, client: ClientName, since: number, now: number): boolean {
  const { progress } = memberOf(presence, client);
  return now - Math.max(since, presence.since, progress?.changedAt ?? 0) >= STALLED_MS;
}

/** Connected, speaking, and ready for rounds of this plan. */
function isAvailable(rules: Rules, presence: Presence, client: ClientName, now: number): boolean {
  const member = memberOf(presence, client);
  return member.connected && member.readyAt !== null && !isGone(rules, presence, client, now);
}

/** Not available, but likely to be in a moment: recruiting waits for it. */
export function isExpected(rules: Rules, presence: Presence, client: ClientName, now: number): boolean {
  const member = memberOf(presence, client);
  if (isAvailable(rules, presence, client, now)) return false;
  if (member.readyAt !== null) return !isGone(rules, presence, client, now);
  return now < member.expectedUntil;
}

/** Everybody available, sorted by name. */
export function availableClients(rules: Rules, presence: Presence, now: number): ClientName[] {
  const names = Object.keys(presence.members) as ClientName[];
  return names.filter((name) => isAvailable(rules, presence, name, now)).toSorted((a, b) => (a < b ? -1 : 1));
}
