/** What a session believes of the coordinator's signed messages: checked against what was pinned, approved and told before. */
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { verifyRevocationList, type RevocationList, type Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { NO_TRANSCRIPT, openSession, type Session } from "../../shared/secagg/session.ts";
import { comparePlaces, HISTORY_KEPT, nextDigest, type History, type Place } from "../../shared/secagg/transcript.ts";
import type { CoordinatorMessage } from "../../shared/wire/messages.ts";
import { isSignedBy } from "../../shared/wire/signing.ts";
import type { Pinned, Revocations, Told } from "./ports.ts";

export type Begin = Extract<CoordinatorMessage, { type: "begin" }>;
export type Ended = Extract<CoordinatorMessage, { type: "ended" }>;

export interface Memory {
  readonly revocations: Revocations;
  /** What was told last, before this process began; null: nothing. */
  readonly told: Told | null;
  /** The newest session, after that one, that this site revealed shares in; null or left out: none. */
  readonly revealed?: Place | null;
  /** The site's `policy.allowRestored`. */
  readonly allowRestored: boolean;
}

const FRESH: Memory = { revocations: { held: null, keep: () => {} }, told: null, allowRestored: false };

export class Judge {
  readonly #crypto: CryptoPort;
  readonly #pinned: Pinned;
  readonly #keep: Revocations["keep"];
  readonly #allowRestored: boolean;
  #revocations: { readonly version: number; readonly serials: ReadonlySet<string> } | null = null;
  #told: Told | null;
  #revealed: Place | null;

  /** Throws CERTIFICATE_INVALID when the list held is not the authority's. */
  constructor(crypto: CryptoPort, pinned: Pinned, memory: Memory = FRESH) {
    const { revocations, told, revealed = null, allowRestored } = memory;
    this.#crypto = crypto;
    this.#pinned = pinned;
    this.#keep = revocations.keep;
    this.#told = told;
    this.#revealed = revealed;
    this.#allowRestored = allowRestored;
    if (revocations.held !== null) this.#learn(revocations.held);
  }

  session(message: Begin): Session {
    return openSession(this.#crypto, message.session);
  }

  /**
   * An invitation: SESSION_SIGNATURE, SESSION_PLAN (another federation or plan than `approved`), SESSION_SPLIT_VIEW
   * (what this client was told last is not part of its history), CERTIFICATE_INVALID (the list of revoked members).
   */
  admit(message: Begin, approved: Sha256): Session {
    const { coordinatorKey, federation } = this.#pinned;
    if (!isSignedBy(this.#crypto, coordinatorKey, message)) {
      throw new CodedError("SESSION_SIGNATURE", "the invitation is not signed by the pinned coordinator key");
    }
    const expected = { federation, configHash: approved };
    for (const field of ["federation", "configHash"] as const) {
      if (message.session[field] === expected[field]) continue;
      throw new CodedError("SESSION_PLAN", `the invitation's ${field} is not the one this site approved`, {
        field,
        expected: expected[field],
        got: message.session[field],
      });
    }
    if (message.revoked !== null && this.#learn(message.revoked)) this.#keep(message.revoked);
    const session = this.session(message);
    this.#checkStory(session, message.history);
    return session;
  }

  /**
   * How a session ended; SESSION_SIGNATURE, SESSION_SPLIT_VIEW (it was told another end of it before). What comes again of an
   * earlier one changes nothing. `session` is null when this client was not in it.
   */
  ended(message: Ended, session: Session | null): void {
    if (!isSignedBy(this.#crypto, this.#pinned.coordinatorKey, message)) {
      throw new CodedError("SESSION_SIGNATURE", "the end of a session is not signed by the pinned coordinator key");
    }
    const { transcriptDigest: digest } = message;
    if (session === null || digest === null) return;
    const { purpose, round, attempt } = session;
    const place = { purpose, round, attempt };
    const since = this.#told === null ? 1 : comparePlaces(place, this.#told.place);
    if (since === 0 && this.#told?.digest !== digest) {
      const words = `the coordinator tells two ends of ${purpose} ${round}.${attempt}`;
      throw split(words, { ...place, expected: this.#told?.digest, got: digest });
    }
    if (since > 0) this.#told = { place, digest };
    if (this.#revealed !== null && comparePlaces(place, this.#revealed) >= 0) this.#revealed = null;
  }

  /** This site reveals shares in the session: whatever becomes of it, it leaves a transcript. */
  revealed({ purpose, round, attempt }: Session): void {
    this.#revealed = { purpose, round, attempt };
  }

  /** With the newest list of revoked members. */
  trust(): Trust {
    const { federation, authorityKey } = this.#pinned;
    return { federation, authorityKey, revoked: this.#revocations?.serials ?? new Set() };
  }

  /** Whether the list is newer than the one known; throws CERTIFICATE_INVALID. */
  #learn(list: RevocationList): boolean {
    if (list.version <= (this.#revocations?.version ?? -1)) return false;
    const { federation, authorityKey } = this.#pinned;
    const serials = verifyRevocationList(this.#crypto, federation, authorityKey, list);
    this.#revocations = { version: list.version, serials };
    return true;
  }

  /**
   * The session that this client was told of last must be among those that this one follows. One that is missing is a
   * split view, too, unless the site allows that a backup was restored; after a long absence nothing can be compared. So is
   * one that it revealed shares in and was told no end of: a sum that no transcript is to be left of.
   */
  #checkStory({ previousTranscriptDigest }: Session, { before, links }: History): void {
    const digests = [before];
    for (const link of links) digests.push(nextDigest(digests.at(-1) as Sha256, link));
    if (digests.at(-1) !== previousTranscriptDigest) {
      throw split("the invitation's history does not lead to the transcript that it follows", {
        expected: previousTranscriptDigest,
        got: digests.at(-1),
      });
    }
    if (this.#revealed !== null)
      this.#expectIn({ before, links }, this.#revealed, "in which this site revealed shares");
    const told = this.#told;
    if (told === null || digests.includes(told.digest)) return;
    const at = links.findIndex((link) => comparePlaces(link, told.place) === 0);
    if (at >= 0) {
      const { purpose, round, attempt } = told.place;
      const where = `${purpose} ${round}.${attempt}`;
      const message = `the coordinator now shows another transcript of ${where} than it told this site of`;
      throw split(message, { ...told.place, expected: told.digest, got: digests[at + 1] });
    }
    this.#expectIn({ before, links }, told.place, "of whose end this site was told", told.digest);
  }

  /** SESSION_SPLIT_VIEW unless the session is there, too long ago to be, or the site allows that it was lost. */
  #expectIn({ before, links }: History, place: Place, which: string, expected: Sha256 | null = null): void {
    if (links.some((link) => comparePlaces(link, place) === 0)) return;
    const [oldest] = links;
    const longAgo = links.length === HISTORY_KEPT && oldest !== undefined && comparePlaces(place, oldest) < 0;
    if (this.#allowRestored || (longAgo && before !== NO_TRANSCRIPT)) return;
    const where = `${place.purpose} ${place.round}.${place.attempt}`;
    const message = `${where}, ${which}, is not in the history that the coordinator shows`;
    throw split(message, { ...place, expected, got: null });
  }
}

function split(message: string, details: Record<string, unknown>): CodedError {
  return new CodedError("SESSION_SPLIT_VIEW", message, details);
}
