/**
 * Which phase a coordinator is in, read from its database while its process is halted (SIGSTOP): what the log says then
 * is exactly what a process that takes over will find. Running it in slices of a few milliseconds, every phase is met.
 */
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import type { DurableEvent } from "../../coordinator/round/state.ts";
import { openPrismaStore } from "../../coordinator/store/prisma.ts";

/** In the order of a round; `evaluating` has all phases of a secure sum inside. */
export const PHASES = [
  "recruiting",
  "advertising-keys",
  "sharing-keys",
  "collecting-masked-inputs",
  "checking-consistency",
  "unmasking",
  "updating",
  "evaluating",
  "releasing",
] as const;
export type PhaseName = (typeof PHASES)[number];

export interface Halt {
  readonly phase: PhaseName | "idle";
  readonly round: number;
  /** Of the round under way, oldest first. */
  readonly events: readonly DurableEvent[];
}

/** Longer than any round of these tests takes when its coordinator runs in slices. */
const PATIENCE_MS = 120_000;

/** Runs the process in slices until it stands in `wanted`, and leaves it halted there. `database` is its file. */
export async function haltIn(child: ChildProcess, database: string, wanted: PhaseName): Promise<Halt> {
  const store = await openPrismaStore(database);
  const end = Date.now() + PATIENCE_MS;
  try {
    while (Date.now() < end) {
      child.kill("SIGSTOP");
      await halted(child.pid as number);
      const { events } = await store.recover();
      const halt = standOf(events.map((line) => (JSON.parse(line) as { event: DurableEvent }).event));
      if (halt.phase === wanted) return halt;
      child.kill("SIGCONT");
      // Far from the phase there is time; next to it, not.
      await wait(PHASES.indexOf(wanted) - PHASES.indexOf(halt.phase as PhaseName) > 2 ? 20 : 2);
    }
  } finally {
    await store.close();
  }
  throw new Error(`the coordinator was never found ${wanted}`);
}

/** Where a round stands by the events since the last snapshot, which is made when a round is over. */
export function standOf(events: readonly DurableEvent[]): Halt {
  let phase: Halt["phase"] = "idle";
  let round = -1;
  let evaluating = false;
  for (const event of events) {
    switch (event.type) {
      case "recruit":
        ({ round } = event);
        phase = "recruiting";
        evaluating = false;
        break;
      case "invite":
        evaluating = event.purpose === "evaluation";
        phase = evaluating ? "evaluating" : "advertising-keys";
        break;
      case "close":
        if (!evaluating) phase = PHASES[PHASES.indexOf(event.phase as PhaseName) + 1] as PhaseName;
        break;
      case "committed":
        phase = "evaluating";
        evaluating = true;
        break;
      case "evaluated":
        phase = "releasing";
        break;
      case "released":
        phase = "idle";
    }
  }
  return { phase, round, events };
}

async function halted(pid: number): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    if (/\) [TtZX] /.test(stat)) return;
    await wait(1);
  }
}
