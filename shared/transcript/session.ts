/**
 * Checks one transcript by itself: the coordinator's signature, and that what every client signed in it makes a session
 * by the rules of docs/protocol.md. Needs the authority's key and nothing of the coordinator's.
 */
import { canonicalJson } from "../canonical.ts";
import { CodedError } from "../errors.ts";
import type { ClientName, Sha256 } from "../ids.ts";
import { verifyRevocationList } from "../secagg/certificate.ts";
import type { CryptoPort } from "../secagg/crypto-port.ts";
import { compareNames, fromBase64, equalBytes } from "../secagg/encoding.ts";
import { accusation, maskedInput, type MaskedInput } from "../secagg/messages.ts";
import { consistencyDigest, consistencyPayload, openRoster, sharersDigest, type Members } from "../secagg/roster.ts";
import { sessionId, type Session } from "../secagg/session.ts";
import { COORDINATOR, parsePayload, verifyPayloadHash, verifyStatement, type Step } from "../secagg/signed.ts";
import { graphRule, sharingGraph } from "../secagg/sharing-graph.ts";
import { LEAST_SURVIVORS, neededSurvivors, thresholds, type Thresholds } from "../secagg/thresholds.ts";
import {
  isTranscriptSigned,
  transcriptDigest,
  transcriptFile,
  type Transcript,
  type TranscriptFile,
} from "../secagg/transcript.ts";
import type { Check } from "./findings.ts";

/** Whom to believe. */
export interface Keys {
  /** null: the one that the transcripts name. */
  readonly federation: Sha256 | null;
  readonly authorityKey: Uint8Array;
  /** null: the one that signed the transcripts, to be compared by a person. */
  readonly coordinatorKey: Uint8Array | null;
}

/** Reads a file's text; throws TRANSCRIPT_FORMAT. */
export function readTranscript(text: string): TranscriptFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CodedError("TRANSCRIPT_FORMAT", "the file is not JSON, or was cut off");
  }
  const parsed = transcriptFile.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join(".") ?? "";
    throw new CodedError("TRANSCRIPT_FORMAT", `${field}: ${issue?.message}`, { field });
  }
  if (canonicalJson(parsed.data) !== text) {
    throw new CodedError("TRANSCRIPT_FORMAT", "the text is not the canonical JSON of what it says");
  }
  return parsed.data;
}

/** One transcript while it is checked; `members` is there once the roster has been. */
export class CheckedSession {
  readonly transcript: Transcript;
  readonly session: Session;
  readonly file: TranscriptFile;
  readonly #crypto: CryptoPort;
  readonly #keys: Keys;
  #members: Members | null = null;

  constructor(crypto: CryptoPort, keys: Keys, file: TranscriptFile) {
    this.#crypto = crypto;
    this.#keys = keys;
    this.file = file;
    this.transcript = file.transcript;
    this.session = { ...file.transcript.session, sid: file.transcript.sid };
  }

  /** The roster; everything about it is verified. */
  get members(): Members {
    if (this.#members === null) throw new Error("the roster was not checked");
    return this.#members;
  }

  get survivors(): ClientName[] {
    return this.transcript.maskedInputs.map(({ sender }) => sender);
  }

  get sharers(): ClientName[] {
    return this.transcript.shared.map(({ sender }) => sender);
  }

  get dropouts(): ClientName[] {
    const alive = new Set<string>(this.survivors);
    return this.sharers.filter((name) => !alive.has(name));
  }

  /** With how many others each client shared its secrets, and how many shares give one back; not for mode off. */
  sharing(): { readonly neighbours: number; readonly limits: Thresholds } {
    const { advertised, mode, graph } = this.transcript;
    if (mode === "off") throw new Error("nothing was shared");
    const size = advertised.length;
    if (graph !== undefined) return sharingGraph(size, mode, graphRule(graph));
    return { neighbours: size - 1, limits: thresholds(size, mode) };
  }

  /** The survivors' signed masked inputs. */
  inputs(): ({ readonly name: ClientName } & MaskedInput)[] {
    return this.transcript.maskedInputs.map(({ sender, payload }) => {
      const heading = { step: "masked-input", sender };
      return { name: sender, ...parsePayload(maskedInput, heading, payload) };
    });
  }

  /** In the order in which they build on each other. */
  checks(): Check[] {
    return [
      ["the coordinator's signature", () => this.#signature()],
      ["session id", () => this.#sid()],
      ["lists in order", () => this.#lists()],
      ["revocation list", () => this.#revocations()],
      ["certificates and advertised keys", () => this.#roster()],
      ["roster and thresholds", () => this.#thresholds()],
      ["shared keys", () => this.#shared()],
      ["masked-input hashes", () => this.#inputs()],
      ["survivor list", () => this.#survivors()],
      ["consistency signatures", () => this.#consistency()],
      ["revealed shares' signatures", () => this.#revealed()],
      ["accusations", () => this.#accusations()],
      ["outcome", () => this.#outcome()],
    ];
  }

  #signature(): void {
    const { file } = this;
    if (file.digest !== transcriptDigest(this.transcript)) {
      throw new CodedError("TRANSCRIPT_SIGNATURE", "it says something else than what the signed digest stands for", {
        expected: transcriptDigest(this.transcript),
        got: file.digest,
      });
    }
    const { coordinatorKey } = this.#keys;
    const key = fromBase64(file.signedBy);
    if (coordinatorKey !== null && (key === null || !equalBytes(key, coordinatorKey))) {
      throw new CodedError("TRANSCRIPT_SIGNATURE", "it is signed by another key than the coordinator's");
    }
    if (!isTranscriptSigned(this.#crypto, file)) {
      throw new CodedError("TRANSCRIPT_SIGNATURE", "the coordinator's signature is not valid");
    }
  }

  #sid(): void {
    const { session, sid } = this.transcript;
    if (sessionId(this.#crypto, session) !== sid) refuse("sid", "the session id is not that of the session it names");
    const { federation } = this.#keys;
    if (federation !== null && session.federation !== federation) refuse("session.federation", "another federation's");
  }

  #lists(): void {
    const { transcript } = this;
    const bySender = (list: readonly { sender: ClientName }[]) => list.map(({ sender }) => sender);
    const lists: Record<string, ClientName[]> = {
      invited: transcript.invited,
      advertised: bySender(transcript.advertised),
      shared: bySender(transcript.shared),
      maskedInputs: bySender(transcript.maskedInputs),
      consistency: bySender(transcript.consistency),
      revealed: bySender(transcript.revealed),
      excluded: transcript.excluded.map(({ client }) => client),
      accusations: bySender(transcript.accusations),
    };
    for (const [field, names] of Object.entries(lists)) {
      const at = names.findIndex((name, i) => i > 0 && compareNames(names[i - 1] as string, name) >= 0);
      if (at > 0) refuse(field, `${names[at]} stands twice or out of order`);
    }
    const off = transcript.mode === "off";
    within(lists, "advertised", "invited");
    within(lists, "shared", "advertised");
    within(lists, "maskedInputs", off ? "invited" : "shared");
    within(lists, "consistency", "maskedInputs");
    within(lists, "revealed", "maskedInputs");
    within(lists, "excluded", "invited");
    within(lists, "accusations", "excluded");
  }

  #revocations(): string | null {
    const { session, revoked } = this.transcript;
    if (revoked === null) return null;
    verifyRevocationList(this.#crypto, session.federation, this.#keys.authorityKey, revoked);
    return null;
  }

  #roster(): string | null {
    const { advertised, session, revoked, startedAt, mode } = this.transcript;
    if (mode === "off") return "without secure aggregation nobody advertises keys";
    const { authorityKey } = this.#keys;
    const trust = { federation: session.federation, authorityKey, revoked: new Set(revoked?.serials) };
    this.#members = openRoster(this.#crypto, trust, this.session, advertised, startedAt);
    return null;
  }

  #thresholds(): string | null {
    const { transcript } = this;
    const { mode, minRoster, minSurvivors, advertised, thresholds: said } = transcript;
    const later = [transcript.shared, transcript.maskedInputs, transcript.consistency, transcript.revealed];
    if (mode === "off") {
      if (said !== null || [...later.slice(2), advertised, transcript.shared].some((list) => list.length > 0)) {
        refuse("mode", "there are steps of secure aggregation, which it says was off");
      }
      return "without secure aggregation there are none";
    }
    if (minSurvivors < LEAST_SURVIVORS || minRoster < minSurvivors) {
      refuse("minSurvivors", `a session of at least ${minRoster} with ${minSurvivors} survivors is not private`);
    }
    if (said === null) {
      if (later.some((list) => list.length > 0)) refuse("thresholds", "there are none, but clients shared keys");
      return "the session ended before there was a roster";
    }
    const { limits: expected } = this.sharing();
    for (const field of ["selfMask", "maskKey"] as const) {
      if (said[field] === expected[field]) continue;
      const size = `${advertised.length} clients`;
      refuse(`thresholds.${field}`, `${said[field]}, but for a roster of ${size} it is ${expected[field]}`);
    }
    if (advertised.length < minRoster)
      refuse("advertised", `${advertised.length} clients, at least ${minRoster} needed`);
    return null;
  }

  #shared(): string | null {
    for (const given of this.transcript.shared) {
      verifyPayloadHash(this.#crypto, this.#keyOf(given.sender), this.session, heading("share-keys", given), given);
    }
    return null;
  }

  #inputs(): string | null {
    const [first] = this.inputs();
    for (const { name, words } of this.inputs()) {
      if (words !== first?.words) refuse("maskedInputs", `the vector of ${name} has another length than the others'`);
    }
    if (this.transcript.mode === "off")
      return "members' certificates are no part of sessions without secure aggregation";
    for (const given of this.transcript.maskedInputs) {
      verifyStatement(this.#crypto, this.#keyOf(given.sender), this.session, heading("masked-input", given), given);
    }
    this.#sharers();
    return null;
  }

  /** On a sparse graph, and with groups, each masked input names those it was masked with: all of them, or none. */
  #sharers(): void {
    const inputs = this.inputs();
    const named = this.transcript.graph !== undefined || inputs.some(({ sharers }) => sharers !== undefined);
    const expected = named ? sharersDigest(this.#crypto, this.session, this.members, this.sharers) : undefined;
    const other = inputs.find(({ sharers }) => sharers !== expected);
    if (other !== undefined) refuse("maskedInputs", `${other.name} made its masks with others than stand here`);
  }

  #survivors(): string | null {
    const { mode, minSurvivors, advertised, consistency, revealed, outcome } = this.transcript;
    if (consistency.length + revealed.length === 0 && outcome !== "completed") return "the session ended before";
    const needed = mode === "off" ? minSurvivors : neededSurvivors(advertised.length, mode, minSurvivors);
    const got = this.survivors.length;
    if (got < needed) refuse("maskedInputs", `${got} survivors, at least ${needed} needed`);
    return null;
  }

  #consistency(): string | null {
    const { mode, consistency, thresholds: limits, outcome, revealed } = this.transcript;
    const list = mode === "off" ? null : this.#listPayload();
    for (const given of consistency) {
      const { sender, payload } = given;
      if (payload !== list) {
        throw new CodedError(
          "SECAGG_CONSISTENCY",
          `${sender} signed another list of roster, sharers, survivors or masked inputs than stands here`,
          { client: sender, field: "consistency" },
        );
      }
      verifyStatement(this.#crypto, this.#keyOf(sender), this.session, heading("consistency", given), given);
    }
    if (mode === "off") return "without secure aggregation there is no list to agree on";
    if (outcome !== "completed" && revealed.length === 0)
      return consistency.length > 0 ? null : "the session ended before";
    const needed = limits?.selfMask ?? 0;
    if (consistency.length < needed)
      refuse("consistency", `${consistency.length} signatures, at least ${needed} needed`);
    return null;
  }

  #revealed(): string | null {
    const { mode, revealed, thresholds: limits, outcome } = this.transcript;
    for (const given of revealed) {
      verifyPayloadHash(this.#crypto, this.#keyOf(given.sender), this.session, heading("unmask", given), given);
    }
    if (mode === "off") return "without secure aggregation nothing is revealed";
    const needed = limits?.selfMask ?? 0;
    if (outcome !== "completed") return revealed.length > 0 ? null : "nothing was revealed";
    if (revealed.length < needed) refuse("revealed", `${revealed.length} clients revealed, at least ${needed} needed`);
    return null;
  }

  #accusations(): string | null {
    for (const given of this.transcript.accusations) {
      verifyStatement(this.#crypto, this.#keyOf(given.sender), this.session, heading("accuse", given), given);
      const { about } = parsePayload(accusation, { step: "accuse", sender: given.sender }, given.payload);
      for (const name of about) this.#keyOf(name);
    }
    return null;
  }

  #outcome(): string | null {
    const { session, version, mode, outcome, reason, result, revealed, consistency } = this.transcript;
    const completed = outcome === "completed";
    if (completed !== (result !== null))
      refuse("result", completed ? "it is missing" : `there is one, but it ${outcome}`);
    if (completed !== (reason === null))
      refuse("reason", completed ? "there is one, but it completed" : "it is missing");
    if (outcome === "void" && (mode === "off" || consistency.length === 0)) {
      refuse("outcome", "void, but nobody was asked to reveal anything");
    }
    const training = session.purpose === "training";
    if (training && mode !== "off" && outcome === "failed" && revealed.length > 0) {
      refuse("outcome", "failed, but shares were revealed: such a session is void");
    }
    if (result === null) return null;
    if (training !== (result.commit !== null))
      refuse("result.commit", training ? "it is missing" : "nothing is committed here");
    if (result.commit !== null && result.commit.version !== version + 1) {
      refuse("result.commit.version", `${result.commit.version}, trained from version ${version}`);
    }
    const alive = new Set<string>(this.survivors);
    const strange = result.rejected.find((name) => !alive.has(name));
    if (strange !== undefined) refuse("result.rejected", `${strange} cannot be left out of this sum`);
    return null;
  }

  #listPayload(): string {
    const digest = consistencyDigest(this.#crypto, this.session, this.members, this.sharers, this.inputs());
    return consistencyPayload(digest);
  }

  #keyOf(name: ClientName): Uint8Array {
    const member = this.#members?.byName.get(name);
    if (member !== undefined) return member.signingKey;
    throw new CodedError("SECAGG_ROSTER_UNKNOWN", `${name} is not in the roster`, { client: name });
  }
}

function heading(step: Step, { sender }: { sender: ClientName }) {
  return { step, sender, recipient: COORDINATOR } as const;
}

function within(lists: Readonly<Record<string, readonly string[]>>, field: string, outer: string): void {
  const all = new Set(lists[outer]);
  const strange = lists[field]?.find((name) => !all.has(name));
  if (strange !== undefined) refuse(field, `${strange} is not in ${outer}`);
}

function refuse(field: string, what: string): never {
  throw new CodedError("TRANSCRIPT_CONTRADICTION", `${field}: ${what}`, { field });
}
