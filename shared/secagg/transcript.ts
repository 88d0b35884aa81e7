/**
 * What a session leaves behind for anyone to check afterwards: who advertised, who survived with which masked input,
 * who signed the list, and what came of it. Each names the digest of the one before it, and the digest of the newest
 * enters the next session's id, so that two views of one round cannot both go on.
 */
import { hashOf } from "../canonical.ts";
import type { ClientName, Sha256 } from "../ids.ts";
import type { SessionContext } from "./session.ts";
import type { Statement } from "./signed.ts";

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
  readonly reason: { readonly code: string; readonly message: string } | null;
  /** The version that a completed training session made. */
  readonly result: { readonly version: number; readonly paramsHash: Sha256; readonly serverState: Sha256 } | null;
}

/** SHA-256 of the transcript's canonical JSON. */
export function transcriptDigest(transcript: Transcript): Sha256 {
  return hashOf(transcript);
}
