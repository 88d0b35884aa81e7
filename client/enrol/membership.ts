/** A site's certificate while its client runs: waited for where the authority has not signed yet, renewed before it ends. */
import { isCoded } from "../../shared/errors.ts";
import { endsSoon, type Certificate } from "../../shared/secagg/certificate.ts";
import type { Log } from "../session/ports.ts";
import { Backoff, sleep } from "../transport/backoff.ts";

/** How often the coordinator is asked for a certificate that the authority has not signed yet: that may take days. */
const POLL_MS = { first: 5_000, longest: 60_000 };
/** How often a running client looks whether its certificate ends soon. */
const LOOK_EVERY_MS = 3_600_000;
/** What passes by itself while a site waits for it. */
const PASSING = ["COORDINATOR_UNREACHABLE", "COORDINATOR_FAILED", "WIRE_TOO_MANY"] as const;

export interface Membership {
  /** The newest; it changes while the client runs. */
  readonly certificate: Certificate;
  stop(): void;
}

export interface MembershipParts {
  readonly name: string;
  /** What the site holds. */
  readonly held: Certificate | null;
  /** Asks the coordinator for the newest and keeps it; null while there is none. */
  readonly collect: () => Promise<Certificate | null>;
  readonly log: Log;
  readonly lookEveryMs?: number;
}

/** Resolves once there is a certificate; throws what is wrong for good, and the signal's reason when it is aborted. */
export async function openMembership(parts: MembershipParts, signal: AbortSignal): Promise<Membership> {
  const { name, collect, log, lookEveryMs = LOOK_EVERY_MS } = parts;
  let { held } = parts;
  const renew = async () => {
    if (held === null || !endsSoon(held, Date.now())) return;
    try {
      held = (await collect()) ?? held;
    } catch (error) {
      log.warn({ error }, `${name}'s membership ends soon and could not be renewed; it is tried again`);
    }
  };
  await renew();
  const pause = new Backoff(POLL_MS.first, POLL_MS.longest);
  for (let told = false; held === null; told = true) {
    if (!told) log.warn({ code: "AUTH_PENDING" }, `${name} waits for the federation's authority`);
    try {
      held = await collect();
    } catch (error) {
      if (!PASSING.some((code) => isCoded(error, code))) throw error;
    }
    if (held === null) await sleep(pause.nextMs(), signal);
  }
  const timer = setInterval(() => void renew(), lookEveryMs);
  timer.unref();
  return {
    get certificate() {
      return held as Certificate;
    },
    stop: () => clearInterval(timer),
  };
}
