/** The version is signed and published. A failure here loses nothing: the version is committed, the next one follows. */
import type { Rules } from "../rules.ts";
import type { DurableEvent, Effect, FederationState, Idle, Releasing, RoundFacts, Transition } from "../state.ts";
import { send } from "./session.ts";

/** Asks for the release of the newest version. */
export function beginRelease(rules: Rules, state: FederationState, facts: RoundFacts, at: number): Transition {
  // Round 0 made no version: it only says how good the model was before any training.
  if (facts.round === 0) return endCompleted(state, facts, at);
  const current: Releasing = { phase: "releasing", facts, since: at };
  return { state: { ...state, current }, effects: [{ type: "release", facts, version: state.version }] };
}

/** The release is written, or has failed: the round is complete in both cases, for its version was committed. */
export function finishRelease(
  state: FederationState,
  current: Releasing,
  event: Extract<DurableEvent, { type: "released" }>,
): Transition {
  const { version, manifestHash, at } = event;
  const seconds = { ...current.facts.seconds, release: Math.max(0, at - current.since) / 1000 };
  const told: Effect[] = [];
  if (manifestHash !== null) {
    const members = [...state.presence.members.keys()];
    told.push(...send(members.map((client) => ({ client, message: { type: "released", version, manifestHash } }))));
  }
  const released = manifestHash === null ? state.released : { version, manifestHash };
  const over = endCompleted({ ...state, released }, { ...current.facts, seconds }, at);
  return { state: over.state, effects: [...told, ...over.effects] };
}

function endCompleted(state: FederationState, facts: RoundFacts, at: number): Transition {
  const current: Idle = { phase: "idle", since: at, notBefore: at, reason: null };
  // Round 0 only scores: it completes nothing.
  const completed = state.completed + (facts.round === 0 ? 0 : 1);
  return {
    state: { ...state, completed, current },
    effects: [{ type: "keep-round", facts, status: "completed", endedAt: at, reason: null }, { type: "snapshot" }],
  };
}
