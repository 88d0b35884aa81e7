/**
 * What a session leaves behind for anyone to check afterwards: who advertised, who survived with which masked input,
 * who signed the list, and what came of it. Each names the digest of the one before it, and the digest of the newest
 * enters the next session's id, so that two views of one round cannot both go on.
 */
import { hashOf } from "../../shared/canonical.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { SessionContext } from "../../shared/secagg/session.ts";
import { statementOf, type SignedStep, type Statement } from "../../shared/secagg/signed.ts";
import { sortedNames } from "./rules.ts";
import type { ByClient, Reason, Sum, SumComplete } from "./state.ts";

export interface Transcript {
  readonly schema: 1;
  readonly session: SessionContext;
  readonly sid: Sha256;
  readonly mode: "malicious" | "semi-honest" | "off";
  readonly invited: readonly ClientName[];
  /** The clients' signed statements, sorted by name. */
  readonly advertised: readonly Statement[];
  readonly shared: readonly ClientName[];
  readonly maskedInputs: readonly Statement[];
  readonly consistency: readonly Statement[];
  readonly excluded: readonly { readonly client: ClientName; readonly code: string }[];
  readonly outcome: "completed" | "failed" | "void";
  readonly reason: Reason | null;
  /** The version that a completed training session made. */
  readonly result: { readonly version: number; readonly paramsHash: Sha256; readonly serverState: Sha256 } | null;
}

export function transcriptOf(
  sum: Sum | SumComplete,
  outcome: Transcript["outcome"],
  reason: Reason | null,
  result: Transcript["result"],
): Transcript {
  return {
    schema: 1,
    session: sum.session,
    sid: sum.sid,
    mode: sum.mode,
    invited: sum.invited,
    advertised: statements(sum.advertised),
    shared: "shared" in sum ? sortedNames(Object.keys(sum.shared)) : [],
    maskedInputs:
      "inputs" in sum
        ? sortedNames(Object.keys(sum.inputs)).map((n) => statementOf(present(sum.inputs, n).signed))
        : [],
    consistency: "signatures" in sum ? statements(sum.signatures) : [],
    excluded: sortedNames(Object.keys(sum.excluded)).map((client) => ({
      client,
      code: present(sum.excluded, client).code,
    })),
    outcome,
    reason,
    result,
  };
}

export function transcriptDigest(transcript: Transcript): Sha256 {
  return hashOf(transcript);
}

function statements(steps: ByClient<SignedStep>): Statement[] {
  return sortedNames(Object.keys(steps)).map((name) => statementOf(present(steps, name)));
}

function present<T>(record: ByClient<T>, name: ClientName): T {
  return record[name] as T;
}
