/**
 * Compares the coordinator's audit log with a site's: what both must have seen of the same session or release. Each
 * difference is one side's word against the other's; the transcripts, which both have signed, decide.
 */
import { z } from "zod";
import { hashOf } from "../canonical.ts";
import { clientName, purpose, sha256Hex, type Sha256 } from "../ids.ts";
import type { AuditEntry } from "./entry.ts";

const ended = z.object({
  sid: sha256Hex,
  purpose,
  round: z.int(),
  attempt: z.int(),
  outcome: z.string(),
  transcriptDigest: sha256Hex.nullable(),
  survivors: z.array(clientName).optional(),
});
const invited = z.object({ sid: sha256Hex, purpose, round: z.int(), attempt: z.int(), clients: z.array(clientName) });
const revealed = z.object({ sid: sha256Hex, survivors: z.array(clientName) });
const tookPart = z.object({ sid: sha256Hex, purpose, round: z.int(), attempt: z.int() });
const release = z.object({ version: z.int(), manifestHash: sha256Hex });
const named = z.object({ client: clientName });
const joined = named.extend({ key: sha256Hex });

export interface Difference {
  /** The session or release. */
  readonly where: string;
  readonly what: string;
}

/**
 * All that contradicts between a coordinator's log and one site's; empty: nothing. `signer`: whose key the site's log is
 * signed with; null: nobody's yet.
 */
export function crossCheck(
  coordinator: readonly AuditEntry[],
  site: readonly AuditEntry[],
  signer: Sha256 | null = null,
): Difference[] {
  const self = factsOf(site, "site joined", named)[0]?.client ?? null;
  const there = {
    ended: bySid(factsOf(coordinator, "session ended", ended)),
    invited: bySid(factsOf(coordinator, "session invited", invited)),
  };
  const here = {
    ended: bySid(factsOf(site, "session ended", ended)),
    tookPart: bySid(factsOf(site, "took part", tookPart)),
    revealed: bySid(factsOf(site, "revealed", revealed)),
  };
  const differences: Difference[] = [];
  const differ = (where: string, what: string): void => void differences.push({ where, what });

  if (self === null) differ("the site", "its log does not say that it joined, nor as whom");
  const keys = factsOf(coordinator, "site joined", joined).filter(({ client }) => client === self);
  if (signer !== null && keys.length > 0 && !keys.some(({ key }) => key === signer)) {
    differ("the site", `its log is signed by ${signer.slice(0, 16)}…, a key that ${self} never joined with`);
  }
  for (const { sid, ...session } of factsOf(coordinator, "session ended", ended)) {
    const counted = there.ended.get(sid);
    if (counted !== undefined && hashOf(counted) !== hashOf({ sid, ...session }))
      differ(nameOf(session), "the coordinator's log has two ends of it");
  }
  for (const [sid, session] of here.tookPart) {
    const invitation = there.invited.get(sid);
    if (invitation === undefined) differ(nameOf(session), "the site took part, the coordinator's log does not have it");
    else if (self !== null && !invitation.clients.includes(self))
      differ(nameOf(session), "the site took part, the coordinator's log does not have it among those invited");
  }
  for (const [sid, own] of here.revealed) {
    const session = there.ended.get(sid);
    const name = nameOf(here.tookPart.get(sid) ?? session ?? null);
    if (session === undefined) differ(name, "the site revealed shares, the coordinator's log has no end of it");
    else if (session.survivors !== undefined && !same(session.survivors, own.survivors)) {
      differ(
        name,
        `the site revealed for ${own.survivors.join(", ")}, the coordinator summed ${session.survivors.join(", ")}`,
      );
    }
  }
  for (const [sid, own] of here.ended) {
    const session = there.ended.get(sid);
    if (session === undefined) {
      differ(nameOf(own), "the site was told of its end, the coordinator's log does not have it");
      continue;
    }
    if (own.outcome !== session.outcome)
      differ(nameOf(own), `${own.outcome} at the site, ${session.outcome} at the coordinator`);
    if (own.transcriptDigest !== null && own.transcriptDigest !== session.transcriptDigest) {
      differ(nameOf(own), "the site was told of another transcript than the coordinator's log has");
    }
  }
  // What the site's log leaves out: sums that it is said to be part of.
  for (const [sid, session] of there.ended) {
    const summed = self !== null && session.survivors?.includes(self) === true;
    if (summed && !here.tookPart.has(sid))
      differ(nameOf(session), "the coordinator summed the site, whose log does not have it");
  }
  const published = new Map(factsOf(coordinator, "release published", release).map((r) => [r.version, r.manifestHash]));
  for (const { version, manifestHash } of factsOf(site, "release installed", release)) {
    const said = published.get(version);
    if (said === undefined) differ(`release ${version}`, "installed at the site, not in the coordinator's log");
    else if (said !== manifestHash)
      differ(`release ${version}`, "the site installed another manifest than was published");
  }
  return differences;
}

function factsOf<T>(entries: readonly AuditEntry[], act: string, schema: z.ZodType<T>): T[] {
  return entries.flatMap((entry) => {
    const parsed = entry.act === act ? schema.safeParse(entry.facts) : null;
    return parsed?.success === true ? [parsed.data] : [];
  });
}

function bySid<T extends { readonly sid: Sha256 }>(list: readonly T[]): Map<Sha256, T> {
  return new Map(list.map((item) => [item.sid, item]));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

function nameOf(session: { purpose: string; round: number; attempt: number } | null): string {
  return session === null ? "a session" : `${session.purpose} ${session.round}.${session.attempt}`;
}
