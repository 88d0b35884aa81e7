/** Checks an audit log by itself: its lines, their chain, and the checkpoints that its owner has signed. */
import { canonicalJson } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";
import { auditEntry, CHECKPOINT, hashOfLine, NOTHING_BEFORE, signerOf, type AuditEntry } from "./entry.ts";

export interface VerifiedAudit {
  readonly entries: readonly AuditEntry[];
  /** Hash of the last line: what the next one would name. */
  readonly head: Sha256;
  /** The last line that a signature covers; 0: none. */
  readonly signedUpTo: number;
  /** Who signed; null: nobody. */
  readonly key: Sha256 | null;
  /** What follows the last line end: a line that a crash cut short. */
  readonly torn: string;
}

/** Behind which the owner signs: the coordinator at the end of a round; a site, which takes part, at that of a session. */
const SIGNED_BEHIND: Readonly<Record<string, string>> = { "round over": "round over", "session ended": "took part" };
/** Of these without a signature: one whose signature a crash took, and one that is the newest. */
const MOST_UNSIGNED = 2;

/**
 * Throws AUDIT_FORMAT, AUDIT_CHAIN and AUDIT_SIGNATURE with the line. `trustedKey` null: the one key that signed all
 * checkpoints, for a person to compare.
 */
export function verifyAudit(crypto: CryptoPort, text: string, trustedKey: Sha256 | null): VerifiedAudit {
  const end = text.lastIndexOf("\n") + 1;
  const lines = text.slice(0, end).split("\n").slice(0, -1);
  const entries: AuditEntry[] = [];
  let head = NOTHING_BEFORE;
  let key = trustedKey;
  let signedUpTo = 0;
  const acts = new Set<string>();
  let unsigned: number[] = [];
  for (const [i, line] of lines.entries()) {
    const number = i + 1;
    const entry = readLine(line, number);
    if (entry.n !== number) {
      throw broken("AUDIT_CHAIN", number, `it is number ${entry.n}: lines were removed, inserted or moved`);
    }
    if (entry.previous !== head) {
      throw broken("AUDIT_CHAIN", number, "it does not follow from the line before it: one of the two was changed");
    }
    if (entry.act === CHECKPOINT) {
      const signer = signerOf(crypto, entry);
      if (signer === null) throw broken("AUDIT_SIGNATURE", number, "the checkpoint's signature is not valid");
      if (key !== null && signer !== key)
        throw broken("AUDIT_SIGNATURE", number, "the checkpoint is signed by another key");
      key = signer;
      signedUpTo = number - 1;
      unsigned = [];
    }
    acts.add(entry.act);
    const ofOwner = SIGNED_BEHIND[entry.act];
    if (ofOwner !== undefined && acts.has(ofOwner)) unsigned.push(number);
    head = hashOfLine(line);
    entries.push(entry);
  }
  // Whoever writes a log anew without the owner's key can only leave the signatures out.
  const [missing] = unsigned.slice(MOST_UNSIGNED);
  if (missing !== undefined) {
    throw broken(
      "AUDIT_SIGNATURE",
      missing,
      `the signatures are missing that belong behind the last ${unsigned.length} like it`,
    );
  }
  return { entries, head, signedUpTo, key: signedUpTo === 0 ? null : key, torn: text.slice(end) };
}

function readLine(line: string, number: number): AuditEntry {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Refused below.
  }
  const parsed = auditEntry.safeParse(value);
  if (!parsed.success || canonicalJson(parsed.data) !== line) {
    throw broken("AUDIT_FORMAT", number, "it is no entry of an audit log");
  }
  return parsed.data;
}

function broken(code: "AUDIT_FORMAT" | "AUDIT_CHAIN" | "AUDIT_SIGNATURE", line: number, what: string): CodedError {
  return new CodedError(code, `line ${line}: ${what}`, { line });
}
