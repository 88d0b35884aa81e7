/** The coordinator's audit log while it runs: its rounds, each written once, and its starts, with what was changed since. */
import { auditEntry, type Act, type AuditEntry } from "../../shared/audit/entry.ts";
import type { AuditFile } from "../../shared/node/audit-file.ts";
import { readTextIfAny } from "../../shared/node/files.ts";
import type { SigningKey } from "../../shared/secagg/crypto-port.ts";
import { actsOf, endsRound, type Happened } from "./acts.ts";

/** Writes down what happened, unless a process before this one did already; signs at the end of every round. */
export async function roundAudit(
  file: AuditFile,
  key: SigningKey,
): Promise<(happened: readonly Happened[]) => Promise<void>> {
  let written = await lastEvent(file.path);
  return async (happened) => {
    const news = happened.filter(({ number }) => number > written);
    const acts = news.flatMap(actsOf);
    try {
      if (news.some(endsRound)) await file.sign(key, ...acts);
      else if (acts.length > 0) await file.append(...acts);
    } catch (error) {
      // It is tried again: with what of it did not reach the file.
      written = await lastEvent(file.path);
      throw error;
    }
    written = news.at(-1)?.number ?? written;
  };
}

/** The journal's number of the event written down last; 0: none. */
async function lastEvent(path: string): Promise<number> {
  const entries = await entriesOf(path);
  return entries.reduce((last, { facts: { event } }) => (typeof event === "number" ? event : last), 0);
}

interface Started {
  /** Of the plan, and of the text of federation.yaml. */
  readonly configHash: string;
  readonly config: string;
}

/** That the coordinator starts, and whether its configuration is another one than when it started last. */
export async function startActs(path: string, started: Started): Promise<Act[]> {
  const last = (await entriesOf(path)).findLast(({ act }) => act === "coordinator started")?.facts;
  const acts: Act[] = [{ act: "coordinator started", facts: { ...started, pid: process.pid } }];
  if (last === undefined || last["config"] === started.config) return acts;
  const facts = { planChanged: last["configHash"] !== started.configHash, before: last["config"], now: started.config };
  return [{ act: "configuration changed", facts }, ...acts];
}

/** Whole lines; what is wrong with others is for `audit verify` to say. */
async function entriesOf(path: string): Promise<AuditEntry[]> {
  const text = (await readTextIfAny(path)) ?? "";
  return text.split("\n").flatMap((line) => {
    try {
      return [auditEntry.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}
