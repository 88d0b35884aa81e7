/** What of the round's events goes into the coordinator's audit log, and in which words. Pure. */
import type { Act } from "../../shared/audit/entry.ts";
import { hashOfText } from "../../shared/canonical.ts";
import { names } from "../round/phases/phase.ts";
import type { DurableEvent, FederationState } from "../round/state.ts";
import { currentSum } from "../round/transition.ts";

/** A durable event, its running number in the journal, and the states around it. */
export interface Happened {
  readonly number: number;
  readonly event: DurableEvent;
  readonly before: FederationState;
  readonly after: FederationState;
}

/** In order; each names the journal's number, so that after a crash none is written twice. */
export function actsOf(happened: Happened): Act[] {
  const acts = [...eventActs(happened), ...sessionActs(happened), ...roundActs(happened)];
  return acts.map(({ act, facts }) => ({ act, facts: { event: happened.number, ...facts } }));
}

/** Whether a round ended with this event: the log is signed then. */
export function endsRound({ before, after }: Happened): boolean {
  const over = new Set(["idle", "failed", "void", "finished"]);
  return over.has(after.current.phase) && !over.has(before.current.phase);
}

function eventActs({ event, after }: Happened): Act[] {
  switch (event.type) {
    case "recruit":
      return [{ act: "round begun", facts: { round: event.round } }];
    case "invite": {
      const sum = currentSum(after);
      if (sum === null) return [];
      const { purpose, round, attempt } = sum.session;
      const { sid, version, mode, invited } = sum;
      return [{ act: "session invited", facts: { sid, purpose, round, attempt, version, mode, clients: invited } }];
    }
    case "step": {
      const { signed, client, vector } = event;
      const facts = { sid: signed.sid, client, step: signed.step, payloadHash: hashOfText(signed.payload) };
      return [{ act: "step accepted", facts: vector === null ? facts : { ...facts, vector: vector.hash } }];
    }
    case "exclude":
      return [{ act: "client left out", facts: { sid: event.sid, client: event.client, code: event.reason.code } }];
    case "committed": {
      const { version, paramsHash, link, serverState } = event;
      return [{ act: "version committed", facts: { version, paramsHash, link, serverState } }];
    }
    case "released":
      return event.manifestHash === null
        ? [{ act: "release skipped", facts: { version: event.version, code: event.reason?.code ?? null } }]
        : [{ act: "release published", facts: { version: event.version, manifestHash: event.manifestHash } }];
    case "pause":
    case "resume":
    case "trigger":
      return [{ act: `operator: ${event.type}`, facts: {} }];
    case "stop":
      return [{ act: "operator: stop", facts: { reason: event.reason } }];
    case "finish":
      return [{ act: "federation finished", facts: { code: event.reason.code, reason: event.reason.message } }];
    default:
      return [];
  }
}

function sessionActs({ before, after }: Happened): Act[] {
  const [ended] = after.ended;
  if (ended === undefined || ended.sid === before.ended[0]?.sid) return [];
  const sum = currentSum(before);
  if (sum === null) return [];
  const { purpose, round, attempt } = sum.session;
  const { sid, outcome, reason, transcriptDigest } = ended;
  const summed = outcome === "completed" && "inputs" in sum ? { survivors: names(sum.inputs) } : {};
  const code = reason?.code ?? null;
  return [
    { act: "session ended", facts: { sid, purpose, round, attempt, outcome, code, transcriptDigest, ...summed } },
  ];
}

function roundActs(happened: Happened): Act[] {
  if (!endsRound(happened)) return [];
  const { round, current, version } = happened.after;
  // Finished from within a round: the federation ended before the cohort was there.
  const status = current.phase === "idle" ? "completed" : current.phase === "finished" ? "stopped" : current.phase;
  return [{ act: "round over", facts: { round, status, version } }];
}
