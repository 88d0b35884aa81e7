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
  /** By those who left because of other clients. */
  readonly accusations: readonly Statement[];
  readonly outcome: "completed" | "failed" | "void";
  readonly reason: { readonly code: string; readonly message: string } | null;
  /** What a completed session came to. */
  readonly result: TranscriptResult | null;
}

/** Ties the sum of a session's masked inputs to all that was made of it. */
interface TranscriptResult {
  /** SHA-256 of the sum's words, little-endian. */
  readonly sum: Sha256;
  /** Survivors whose sealed vector was unreadable; only where single vectors are visible. */
  readonly rejected: readonly ClientName[];
  /** Of training: the server's state before and after the optimizer's step, and the version that was made of it. */
  readonly commit: {
    readonly serverStateBefore: Sha256;
    readonly serverState: Sha256;
    readonly version: number;
    readonly paramsHash: Sha256;
    /** SHA-256 of the signed chain link's canonical JSON, which names the bytes of update and keyframe. */
    readonly link: Sha256;
  } | null;
}

/** SHA-256 of the transcript's canonical JSON. */
export function transcriptDigest(transcript: Transcript): Sha256 {
  return hashOf(transcript);
}
