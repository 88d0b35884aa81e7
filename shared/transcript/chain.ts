/** Checks transcripts against each other: each follows from the one before, and none is missing between the first and the last. */
import { CodedError } from "../errors.ts";
import type { Sha256 } from "../ids.ts";
import { NO_TRANSCRIPT } from "../secagg/session.ts";
import { comparePlaces, transcriptName, type Transcript, type TranscriptFile } from "../secagg/transcript.ts";
import type { Check } from "./findings.ts";

/** A transcript and the name of its file, without ending. */
export interface Named {
  readonly name: string;
  readonly file: TranscriptFile;
}

/** In the order of the sessions. */
export function inOrder<T extends Named>(given: readonly T[]): T[] {
  return given.toSorted((a, b) => comparePlaces(a.file.transcript.session, b.file.transcript.session));
}

interface Made {
  readonly version: number;
  readonly paramsHash: Sha256;
  readonly serverState: Sha256 | null;
}

/** The checks of one transcript after those before it; all `inOrder`. */
export function chainChecks(before: readonly Named[], { name, file }: Named): Check[] {
  const { transcript } = file;
  const previous = before.at(-1);
  return [
    ["name of the file", () => expectName(name, transcript)],
    ["the transcript before it", () => followsFrom(previous, transcript)],
    ["the same federation and signer", () => sameMaker(previous, file)],
    ["model and server state before it", () => continues(before, transcript)],
  ];
}

function expectName(name: string, { session }: Transcript): void {
  const expected = transcriptName(session);
  if (name !== expected) throw chain(`its session is ${expected}`, { expected, got: name });
}

function followsFrom(previous: Named | undefined, { session }: Transcript): string | null {
  const { previousTranscriptDigest: digest } = session;
  if (previous === undefined) {
    return digest === NO_TRANSCRIPT ? null : "what came before it is not here";
  }
  const { file, name } = previous;
  if (comparePlaces(file.transcript.session, session) === 0) throw chain(`there are two of this session`);
  if (file.digest === digest) return null;
  throw chain(
    `it follows ${digest.slice(0, 16)}…, but ${name}, the one before it here, has ${file.digest.slice(0, 16)}…`,
    {
      expected: file.digest,
      got: digest,
    },
  );
}

/** Where nobody says whose signatures count, they must at least all be one coordinator's. */
function sameMaker(previous: Named | undefined, { transcript, signedBy }: TranscriptFile): void {
  if (previous === undefined) return;
  const { file, name } = previous;
  const { federation } = transcript.session;
  if (file.transcript.session.federation !== federation) throw chain(`${name}, before it, is another federation's`);
  if (file.signedBy !== signedBy) throw chain(`${name}, before it, is signed by another key`);
}

function continues(before: readonly Named[], transcript: Transcript): string | null {
  const { session, version, result, revoked } = transcript;
  const newest = before.findLast(({ file }) => file.transcript.revoked !== null)?.file.transcript.revoked?.version;
  if (newest !== undefined && (revoked === null || revoked.version < newest)) {
    throw chain(`revoked: list ${revoked?.version ?? "none"} after list ${newest}; a revocation was taken back`);
  }
  const made = madeBefore(before);
  if (made === null) return "no transcript before it made a version";
  if (version !== made.version || session.parentHash !== made.paramsHash) {
    throw chain(
      `version ${version} (${session.parentHash.slice(0, 16)}…) is not the one made before it, ${made.version}`,
      {
        expected: made,
      },
    );
  }
  const from = result?.commit?.serverStateBefore;
  if (from === undefined || made.serverState === null || from === made.serverState) return null;
  throw chain("result.commit.serverStateBefore: it is not the server state that the step before it led to", {
    expected: made.serverState,
    got: from,
  });
}

/** The newest version that these name. */
function madeBefore(before: readonly Named[]): Made | null {
  for (const { file } of before.toReversed()) {
    const { result, version, session } = file.transcript;
    if (result?.commit) return result.commit;
    // A session that makes nothing still says which version there was.
    if (before[0]?.file === file) return { version, paramsHash: session.parentHash, serverState: null };
  }
  return null;
}

function chain(message: string, details: Record<string, unknown> = {}): CodedError {
  return new CodedError("TRANSCRIPT_CHAIN", message, details);
}
