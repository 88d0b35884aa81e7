/**
 * Who is there. Clients are heard by their heartbeats; after three missed ones a client counts as gone, except that
 * one whose connection still stands while it trains may be too busy to speak and gets more time.
 *
 * Silence is measured in listening time: the clock without the time in which this process was too busy to listen. What
 * clients say meanwhile waits in its sockets, and a process that did not listen cannot say who was silent.
 */
import type { ClientName } from "../../shared/ids.ts";
import type { Rules } from "./rules.ts";
import type { Member, PassingEvent, Presence, RoundEvent } from "./state.ts";

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
  return presence.members.get(client) ?? STRANGER;
}

export function emptyPresence(at: number): Presence {
  return { since: at, deafMs: 0, members: new Map() };
}

type Heartbeat = Extract<RoundEvent, { type: "heartbeat" }>;

/** Listening time. */
function listened({ deafMs }: Presence, at: number): number {
  return at - deafMs;
}

/** The presence after something was heard. */
export function hear(presence: Presence, event: PassingEvent): Presence {
  const at = listened(presence, event.at);
  switch (event.type) {
    case "tick":
      return (event.lateMs ?? 0) > 0 ? { ...presence, deafMs: presence.deafMs + (event.lateMs ?? 0) } : presence;
    case "started": {
      const expected = { ...STRANGER, expectedUntil: at + RETURN_MS };
      const returning = event.enrolled.map((name) => [name, expected] as const);
      // Some may have been quicker than this process's own start.
      return { ...presence, since: event.at, members: new Map([...returning, ...presence.members]) };
    }
    case "connected": {
      // Perhaps another process than before: it says itself when it is ready (again), which takes a moment.
      const before = memberOf(presence, event.client);
      const inVain = before.readyAt === null && at - before.lastSeen < IN_VAIN_MS;
      const expectedUntil = inVain ? before.expectedUntil : Math.max(before.expectedUntil, at + SETTLE_MS);
      return heardOf(presence, event, { connected: true, readyAt: null, expectedUntil });
    }
    case "disconnected":
      // What it last said still stands: a short interruption is no absence.
      return heardOf(presence, event, { connected: false });
    case "ready":
      return heardOf(presence, event, { readyAt: event.at, version: event.version });
    case "resting":
      return heardOf(presence, event, { readyAt: null });
    case "installed":
      return heardOf(presence, event, { version: event.version });
    case "heartbeat":
      return hearAll(presence, [event]);
  }
}

/** The presence after these heartbeats: the members of a large cohort are copied once for all. */
export function hearAll(presence: Presence, heartbeats: readonly Heartbeat[]): Presence {
  const members = new Map(presence.members);
  for (const { client, at, sid, progress: said } of heartbeats) {
    const before = members.get(client) ?? STRANGER;
    const known = before.progress;
    // Steps back are no progress: else a client could stay at it for ever.
    const stands = known !== null && said !== null && before.sid === sid && said.step <= known.step;
    const progress = said === null ? null : stands ? known : { ...said, changedAt: at };
    members.set(client, { ...before, lastSeen: Math.max(before.lastSeen, listened(presence, at)), sid, progress });
  }
  return { ...presence, members };
}

/** A step of a session proves that the client is in it. */
export function heardStep(presence: Presence, client: ClientName, sid: string, at: number): Presence {
  return heardOf(presence, { client, at }, { sid });
}

interface Sign {
  readonly client: ClientName;
  readonly at: number;
}

/** Signs of life in what is still to be looked at: a client whose answer waits here is not silent. */
export function witness(presence: Presence, signs: readonly Sign[]): Presence {
  // Who is only just coming back is expected until its connection is heard of, and not before.
  const known = signs.filter(({ client }) => memberOf(presence, client).connected);
  if (known.length === 0) return presence;
  const members = new Map(presence.members);
  for (const { client, at } of known) {
    const before = memberOf(presence, client);
    members.set(client, { ...before, lastSeen: Math.max(before.lastSeen, listened(presence, at)) });
  }
  return { ...presence, members };
}

function heardOf(presence: Presence, { client, at }: Sign, change: Partial<Member>): Presence {
  const before = memberOf(presence, client);
  const member = { ...before, lastSeen: Math.max(before.lastSeen, listened(presence, at)), ...change };
  return { ...presence, members: new Map(presence.members).set(client, member) };
}

/** Silent for too long, or disconnected where that is what counts. */
export function isGone(rules: Rules, presence: Presence, client: ClientName, now: number): boolean {
  const member = memberOf(presence, client);
  const heard = listened(presence, now);
  if (heard < member.expectedUntil && member.lastSeen < presence.since) return false;
  if (rules.liveness === "connection") return !member.connected;
  const missed = member.connected ? MISSED_WHILE_CONNECTED : MISSED;
  return heard - member.lastSeen >= missed * rules.heartbeatMs;
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
  return listened(presence, now) < member.expectedUntil;
}

/** Everybody available, sorted by name. */
export function availableClients(rules: Rules, presence: Presence, now: number): ClientName[] {
  const names = [...presence.members.keys()];
  return names.filter((name) => isAvailable(rules, presence, name, now)).toSorted((a, b) => (a < b ? -1 : 1));
}
