/**
 * What a site remembers for ever about the attempts it took part in and the shares it revealed, and the rules that
 * follow: no attempt twice, and of one round no two different sums (docs/decisions/one-list.md).
 * Entries are durable before the act they stand for is visible to anyone.
 */
import { z } from "zod";
import { CodedError } from "../../shared/errors.ts";
import { clientName, purpose, sha256Hex } from "../../shared/ids.ts";
import type { SessionContext } from "../../shared/secagg/session.ts";

const where = { purpose, round: z.int().min(0), attempt: z.int().min(0), parentHash: sha256Hex };

export const roundLogEntry = z.discriminatedUnion("type", [
  /** This site advertised keys. */
  z.strictObject({ type: z.literal("joined"), ...where }),
  /** This site is about to reveal shares for this survivor list. */
  z.strictObject({ type: z.literal("revealed"), ...where, survivors: z.array(clientName) }),
]);
export type RoundLogEntry = z.infer<typeof roundLogEntry>;

/** Append-only and durable. */
export interface RoundLog {
  entries(): readonly RoundLogEntry[];
  /** Resolves when the entry would survive a power cut. */
  append(entry: RoundLogEntry): Promise<void>;
}

/** For simulations and tests: as durable as the process. */
export function memoryRoundLog(entries: readonly RoundLogEntry[] = []): RoundLog {
  const held = [...entries];
  return {
    entries: () => held,
    append: async (entry) => void held.push(entry),
  };
}

/**
 * May this site take part in this attempt? SECAGG_ATTEMPT_REPLAYED unless (round, attempt) is above every one it
 * took part in for this purpose; SECAGG_PARENT_CHANGED when shares of the round were revealed for another parent;
 * SECAGG_PARENT_REUSED when another round revealed shares for this parent and the site does not allow that.
 */
export function checkJoin(entries: readonly RoundLogEntry[], context: SessionContext, allowVoid: boolean): void {
  const { round, attempt, parentHash } = context;
  for (const entry of entries) {
    if (entry.purpose !== context.purpose) continue;
    if (entry.round > round || (entry.round === round && entry.attempt >= attempt)) {
      throw new CodedError(
        "SECAGG_ATTEMPT_REPLAYED",
        `${entry.purpose} round ${round} attempt ${attempt}: this site was in round ${entry.round} attempt ${entry.attempt}`,
        { round, attempt, seenRound: entry.round, seenAttempt: entry.attempt },
      );
    }
    if (entry.type !== "revealed") continue;
    if (entry.round === round && entry.parentHash !== parentHash) throw parentChanged(round);
    if (entry.round !== round && entry.parentHash === parentHash && !allowVoid) {
      throw new CodedError(
        "SECAGG_PARENT_REUSED",
        `round ${round} starts from the parent of round ${entry.round}, whose shares were revealed`,
        { round, earlierRound: entry.round, parentHash },
      );
    }
  }
}

/**
 * May this site reveal shares for this survivor list? Only for the one it recorded for the round, if it recorded any:
 * SECAGG_RETRY_ISOLATES. An evaluation counts the same version on the same data in every round, so there the list
 * holds for the version.
 */
export function checkReveal(
  entries: readonly RoundLogEntry[],
  context: SessionContext,
  survivors: readonly string[],
): void {
  const now = new Set(survivors);
  const scoring = context.purpose === "evaluation";
  for (const entry of entries) {
    if (entry.type !== "revealed" || entry.purpose !== context.purpose) continue;
    const sameParent = entry.parentHash === context.parentHash;
    if (entry.round !== context.round && !(scoring && sameParent)) continue;
    if (!sameParent) throw parentChanged(context.round);
    const before = new Set<string>(entry.survivors);
    const differing = [
      ...entry.survivors.filter((name) => !now.has(name)),
      ...survivors.filter((name) => !before.has(name)),
    ];
    if (differing.length === 0) continue;
    throw new CodedError(
      "SECAGG_RETRY_ISOLATES",
      `attempt ${context.attempt} differs from attempt ${entry.attempt} of round ${entry.round}, which was revealed, by ${differing.join(", ")}`,
      { round: context.round, differing },
    );
  }
}

function parentChanged(round: number): CodedError {
  return new CodedError("SECAGG_PARENT_CHANGED", `round ${round} was revealed for another parent`, { round });
}
