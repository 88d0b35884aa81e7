/**
 * A site's own copy of a session: what the coordinator showed it, what it signed, and how it was told that the session
 * ended. Compared with the coordinator's transcript it shows whether both speak of the same session.
 */
import { z } from "zod";
import { hashOf, hashOfText } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import { clientName, sha256Hex, type ClientName } from "../ids.ts";
import { revocationList } from "../secagg/certificate.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";
import { roster, survivors } from "../secagg/messages.ts";
import { openSession, sessionContext, type Session } from "../secagg/session.ts";
import { base64Of, COORDINATOR, EVERYONE, openSigned, parsePayload, signedStep, type Step } from "../secagg/signed.ts";
import { history, transcriptDigest, type Transcript } from "../secagg/transcript.ts";
import { isSignedBy } from "../wire/signing.ts";
import type { Check } from "./findings.ts";

/** One of its own steps; a payload with shares of others is kept as its hash alone, as in the transcript. */
const ownStep = z.strictObject({
  step: z.enum(["advertise-keys", "share-keys", "masked-input", "consistency", "unmask"]),
  payloadHash: sha256Hex,
  signature: base64Of(64),
});

export const siteCopy = z.strictObject({
  schema: z.literal(1),
  client: clientName,
  /** The coordinator's invitation. */
  invitation: z.strictObject({
    session: sessionContext,
    version: z.int().min(0),
    revoked: revocationList.nullable(),
    history,
    signature: z.string().max(128),
  }),
  /** The coordinator's signed steps for everyone: `roster`, `survivors`, `signatures`, as far as it came. */
  shown: z.array(signedStep).max(3),
  own: z.array(ownStep).max(5),
  /** The coordinator's last word; null: this site never heard it. */
  ended: z
    .strictObject({
      outcome: z.enum(["completed", "failed", "void"]),
      reason: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
      transcriptDigest: sha256Hex.nullable(),
      signature: z.string().max(128),
    })
    .nullable(),
});
export type SiteCopy = z.infer<typeof siteCopy>;

/** The checks of a site's copy against the coordinator's transcript of that session; null: there is none. */
export function copyChecks(
  crypto: CryptoPort,
  coordinatorKey: Uint8Array,
  copy: SiteCopy,
  transcript: Transcript | null,
): Check[] {
  const session = openSession(crypto, copy.invitation.session);
  const named = (check: string): string => `${copy.client}'s copy: ${check}`;
  return [
    [named("the coordinator's signatures"), () => checkSignatures(crypto, coordinatorKey, session, copy)],
    [named("the same session"), () => void sameSession(copy, session, transcript)],
    [named("roster"), () => sameList(copy, "roster", (transcript as Transcript).advertised)],
    [named("survivor list"), () => sameList(copy, "survivors", (transcript as Transcript).maskedInputs)],
    [named("its own steps"), () => ownSteps(copy, transcript as Transcript)],
    [named("the end"), () => sameEnd(copy, transcript as Transcript)],
  ];
}

function checkSignatures(crypto: CryptoPort, key: Uint8Array, session: Session, copy: SiteCopy): void {
  const { invitation, shown, ended } = copy;
  const message = { type: "begin", ...invitation } as const;
  if (!isSignedBy(crypto, key, message)) throw differs("the invitation is not signed by the coordinator");
  for (const step of shown) {
    openSigned(crypto, key, session, { step: step.step, sender: COORDINATOR, recipient: EVERYONE }, step);
  }
  const last = ended === null ? null : ({ type: "ended", sid: session.sid, ...ended } as const);
  if (last !== null && !isSignedBy(crypto, key, last as Parameters<typeof isSignedBy>[2])) {
    throw differs("the end is not signed by the coordinator");
  }
}

function sameSession({ invitation }: SiteCopy, session: Session, transcript: Transcript | null): void {
  if (transcript === null) throw differs("the coordinator has no transcript of a session that the site was in");
  if (transcript.sid !== session.sid) {
    throw differs(`two sessions at one place: the site was in ${session.sid}, the transcript is of ${transcript.sid}`);
  }
  // Neither is part of the session's id.
  if (transcript.version !== invitation.version) {
    throw differs(`the site was told version ${invitation.version}, the transcript says ${transcript.version}`);
  }
  if (hashOf(transcript.revoked) !== hashOf(invitation.revoked)) {
    const list = (revoked: Transcript["revoked"]) => (revoked === null ? "no list" : `list ${revoked.version}`);
    throw differs(
      `the site was shown ${list(invitation.revoked)} of revoked members, the transcript has ${list(transcript.revoked)}`,
    );
  }
}

function sameList(copy: SiteCopy, step: "roster" | "survivors", expected: Transcript["advertised"]): string | null {
  const message = copy.shown.find((shown) => shown.step === step);
  if (message === undefined) return "it did not come so far";
  const from = { step, sender: COORDINATOR };
  const list =
    step === "roster"
      ? parsePayload(roster, from, message.payload).entries
      : parsePayload(survivors, from, message.payload).survivors;
  const at = list.findIndex((entry, i) => {
    const other = expected[i];
    return entry.sender !== other?.sender || entry.payload !== other.payload || entry.signature !== other.signature;
  });
  if (at >= 0 || list.length !== expected.length) {
    const names = (entries: readonly { sender: ClientName }[]) => entries.map(({ sender }) => sender).join(", ");
    throw differs(
      `the site was shown ${names(list)}, the transcript has ${names(expected)}, or other messages of them`,
    );
  }
  return null;
}

const PLACES = {
  "advertise-keys": "advertised",
  "share-keys": "shared",
  "masked-input": "maskedInputs",
  consistency: "consistency",
  unmask: "revealed",
} as const satisfies Partial<Record<Step, keyof Transcript>>;

/** What came too late stands nowhere; what stands there under the site's name, it must have signed. */
function ownSteps(copy: SiteCopy, transcript: Transcript): void {
  for (const [step, place] of Object.entries(PLACES)) {
    const said = transcript[place].find(({ sender }) => sender === copy.client);
    if (said === undefined) continue;
    const own = copy.own.find((sent) => sent.step === step);
    const hash = "payloadHash" in said ? said.payloadHash : hashOfText(said.payload);
    if (own?.payloadHash !== hash) throw differs(`its ${step} step in the transcript is not the one that it sent`);
  }
}

function sameEnd({ ended, shown }: SiteCopy, transcript: Transcript): string | null {
  // Whoever was shown the signatures was asked for its shares: a session of training is then completed or void.
  const asked = transcript.session.purpose === "training" && shown.some(({ step }) => step === "signatures");
  if (asked && transcript.outcome === "failed") {
    throw differs("the site was asked to reveal shares, the transcript says that it failed before");
  }
  if (ended === null) return "the site was not told how it ended";
  if (ended.transcriptDigest === null) return "the site was left out before it ended";
  if (ended.outcome !== transcript.outcome) {
    throw differs(`the site was told that it ${ended.outcome}, the transcript says ${transcript.outcome}`);
  }
  if (ended.transcriptDigest === transcriptDigest(transcript)) return null;
  throw differs("the site was told the digest of another transcript");
}

function differs(what: string): CodedError {
  return new CodedError("TRANSCRIPT_SPLIT_VIEW", what);
}
