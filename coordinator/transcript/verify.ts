/** Checks the transcripts of a federation offline, with whatever else of it is at hand: evidence, releases. */
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { TrainingPlan } from "../../shared/config/plan.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { verifyRelease, type ReleaseFolder } from "../../shared/release/verify.ts";
import type { Compression } from "../../shared/release/ports.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { fromBase64 } from "../../shared/secagg/encoding.ts";
import { comparePlaces, placeNamed, transcriptName, type Place } from "../../shared/secagg/transcript.ts";
import { chainChecks, inOrder, type Named } from "../../shared/transcript/chain.ts";
import { copyChecks, type SiteCopy } from "../../shared/transcript/copy.ts";
import { runChecks, type Check, type Finding } from "../../shared/transcript/findings.ts";
import { CheckedSession, readTranscript, type Keys } from "../../shared/transcript/session.ts";
import { evidenceChecks, STEP } from "./recompute.ts";
import { checkTerms, keptPlan } from "./terms.ts";

export interface VerifyInput {
  readonly keys: Keys;
  /** Files of `transcripts/`, by name without ending. */
  readonly transcripts: ReadonlyMap<string, string>;
  /** What was kept of a session, and the release of a version; null: not here. */
  readonly evidence: (name: string) => Promise<ReleaseFolder | null>;
  readonly release: (version: number) => Promise<ReleaseFolder | null>;
  /** What else is there; left out: nobody looked. */
  readonly present?: { readonly versions: readonly number[]; readonly evidence: readonly string[] };
  /** Training plans by their hash, besides those in the evidence; left out: none. */
  readonly plans?: ReadonlyMap<Sha256, TrainingPlan>;
  /** Sites' own copies, to be compared with the transcripts. */
  readonly copies?: readonly SiteCopy[];
}

export interface Verification {
  /** No check failed. */
  readonly ok: boolean;
  readonly sessions: readonly {
    readonly name: string;
    readonly outcome: "completed" | "failed" | "void";
    readonly roster: number;
    readonly survivors: number;
    /** Whether its result was made again from what was kept. */
    readonly recomputed: boolean;
  }[];
  readonly findings: readonly Finding[];
  /** Of the newest transcript: what the next session's id contains. */
  readonly head: Sha256 | null;
}

export async function verifyTranscripts(
  crypto: CryptoPort,
  compression: Compression,
  input: VerifyInput,
): Promise<Verification> {
  const findings: Finding[] = [];
  const named: Named[] = [];
  for (const [name, text] of input.transcripts) {
    await runChecks(findings, name, [["form", () => void named.push({ name, file: readTranscript(text) })]]);
  }
  const ordered = inOrder(named);
  const plans = await plansOf(input, ordered);
  const sessions: Verification["sessions"][number][] = [];
  for (const [i, entry] of ordered.entries()) {
    const { name, file } = entry;
    const { transcript } = file;
    const checked = new CheckedSession(crypto, input.keys, file);
    const sound = await runChecks(findings, name, checked.checks());
    // Where it stands is judged also of one that is not sound: both can be told at once.
    await runChecks(findings, name, chainChecks(ordered.slice(0, i), entry));
    if (sound) await runChecks(findings, name, [["terms of the plan", () => termsOf(plans, checked)]]);
    const recomputed = sound && (await recompute(crypto, input, checked, name, findings));
    if (sound) await runChecks(findings, name, [releaseCheck(crypto, compression, input, checked)]);
    const { outcome, advertised, maskedInputs } = transcript;
    sessions.push({ name, outcome, roster: advertised.length, survivors: maskedInputs.length, recomputed });
  }
  await runChecks(findings, null, [["nothing without its transcript", () => leftOver(input, ordered)]]);
  for (const copy of input.copies ?? []) await compare(crypto, input, ordered, copy, findings);
  const ok = findings.every(({ status }) => status !== "failed");
  return { ok, sessions, findings, head: ordered.at(-1)?.file.digest ?? null };
}

/** Every plan of a session is one, wherever it was found: its hash is in the session's id. */
async function plansOf(input: VerifyInput, ordered: readonly Named[]): Promise<ReadonlyMap<Sha256, TrainingPlan>> {
  const plans = new Map(input.plans);
  for (const { name, file } of ordered) {
    const { configHash } = file.transcript.session;
    const folder = plans.has(configHash) ? null : await input.evidence(name);
    const plan = folder === null ? null : await keptPlan(folder, configHash);
    if (plan !== null) plans.set(configHash, plan);
  }
  return plans;
}

function termsOf(plans: ReadonlyMap<Sha256, TrainingPlan>, { transcript, session }: CheckedSession): string | null {
  const plan = plans.get(session.configHash);
  if (plan === undefined) return "the training plan is not here";
  checkTerms(plan, transcript);
  return null;
}

/** A chain that was cut off at its end is whole by itself; what came of the missing sessions tells. */
function leftOver({ present }: VerifyInput, ordered: readonly Named[]): string | null {
  const newest = ordered.at(-1);
  if (present === undefined || newest === undefined) return "nobody looked what else is there";
  const made = ordered.reduce((most, { file: { transcript } }) => {
    return Math.max(most, transcript.result?.commit?.version ?? transcript.version);
  }, 0);
  const version = present.versions.find((one) => one > made);
  if (version !== undefined) {
    throw new CodedError("TRANSCRIPT_CHAIN", `release ${version} is here, and no transcript of how it was made`, {
      version,
    });
  }
  const place = newest.file.transcript.session;
  const evidence = present.evidence.find((name) => comparePlaces(placeNamed(name) as Place, place) > 0);
  if (evidence === undefined) return null;
  throw new CodedError("TRANSCRIPT_CHAIN", `what was kept of ${evidence} is here, and no transcript of it`, {
    session: evidence,
  });
}

/** A site's copy with the transcript of its session, or of another at its place. */
async function compare(
  crypto: CryptoPort,
  { keys }: VerifyInput,
  ordered: readonly Named[],
  copy: SiteCopy,
  findings: Finding[],
): Promise<void> {
  const place = copy.invitation.session;
  const found = ordered.find(({ file }) => comparePlaces(file.transcript.session, place) === 0);
  const signer = ordered[0] === undefined ? null : fromBase64(ordered[0].file.signedBy);
  const key = keys.coordinatorKey ?? signer ?? new Uint8Array(32);
  const name = found?.name ?? transcriptName(place);
  await runChecks(findings, name, copyChecks(crypto, key, copy, found?.file.transcript ?? null));
}

async function recompute(
  crypto: CryptoPort,
  input: VerifyInput,
  checked: CheckedSession,
  name: string,
  findings: Finding[],
): Promise<boolean> {
  if (checked.transcript.outcome !== "completed") return false;
  const folder = await input.evidence(name);
  if (folder !== null) {
    const made: Finding[] = [];
    const sound = await runChecks(made, name, evidenceChecks(crypto, checked, folder));
    findings.push(...made);
    // Where the seed of a trusted coordinator's noise is not there, the sum was made again and nothing behind it.
    return sound && !made.some(({ check, status }) => check === STEP && status === "skipped");
  }
  await runChecks(findings, name, [["sum, step and version", () => "the masked inputs are not here"]]);
  return false;
}

/** The published release of the version that a training session made. */
function releaseCheck(
  crypto: CryptoPort,
  compression: Compression,
  input: VerifyInput,
  { transcript, session, file }: CheckedSession,
): Check {
  return [
    "release",
    async () => {
      const commit = transcript.result?.commit;
      if (commit == null) return "the session made no version";
      const folder = await input.release(commit.version);
      if (folder === null) return "the release is not here";
      const context = { crypto, compression, trustedKey: fromBase64(file.signedBy), neighbour: input.release };
      const { manifest } = await verifyRelease(context, folder).catch((error: unknown) => {
        if (!isCoded(error)) throw error;
        throw differs(commit.version, `${error.message} (${error.code})`);
      });
      const expected = {
        federation: session.federation,
        version: commit.version,
        paramsHash: commit.paramsHash,
        parentHash: session.parentHash,
        configHash: session.configHash,
        round: session.round,
      } as const;
      for (const [field, value] of Object.entries(expected)) {
        const got = manifest[field as keyof typeof expected];
        if (got !== value) throw differs(commit.version, `${field} is ${got}, the transcript says ${value}`);
      }
      const { survivors } = manifest.counts;
      const summed = transcript.maskedInputs.length - (transcript.result?.rejected.length ?? 0);
      if (survivors !== summed) throw differs(commit.version, `it counts ${survivors} survivors of ${summed}`);
      return null;
    },
  ];
}

function differs(version: number, what: string): CodedError {
  return new CodedError("TRANSCRIPT_RELEASE", `release ${version}: ${what}`, { version });
}
