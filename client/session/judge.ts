/** What a session believes of the coordinator's signed messages: checked against what was pinned, approved and told before. */
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import { verifyRevocationList, type RevocationList, type Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { openSession, type Session } from "../../shared/secagg/session.ts";
import type { CoordinatorMessage } from "../../shared/wire/messages.ts";
import { isSignedBy } from "../../shared/wire/signing.ts";
import type { Pinned, Revocations } from "./ports.ts";

export type Begin = Extract<CoordinatorMessage, { type: "begin" }>;
export type Ended = Extract<CoordinatorMessage, { type: "ended" }>;

export class Judge {
  readonly #crypto: CryptoPort;
  readonly #pinned: Pinned;
  readonly #keep: Revocations["keep"];
  #revocations: { readonly version: number; readonly serials: ReadonlySet<string> } | null = null;
  /** The session that ended last, and the digest of its transcript. */
  #told: { readonly session: Session; readonly digest: Sha256 } | null = null;

  /** Throws CERTIFICATE_INVALID when the list held is not the authority's. */
  constructor(crypto: CryptoPort, pinned: Pinned, revocations: Revocations = { held: null, keep: () => {} }) {
    this.#crypto = crypto;
    this.#pinned = pinned;
    this.#keep = revocations.keep;
    if (revocations.held !== null) this.#learn(revocations.held);
  }

  session(message: Begin): Session {
    return openSession(this.#crypto, message.session);
  }

  /**
   * An invitation: SESSION_SIGNATURE, SESSION_PLAN (another federation or plan than `approved`), SESSION_SPLIT_VIEW
   * (it follows another transcript than this client was told), CERTIFICATE_INVALID (the list of revoked members).
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
    this.#checkStory(session);
    return session;
  }

  /** How a session ended; SESSION_SIGNATURE. `session` is null when this client was not in it. */
  ended(message: Ended, session: Session | null): void {
    if (!isSignedBy(this.#crypto, this.#pinned.coordinatorKey, message)) {
      throw new CodedError("SESSION_SIGNATURE", "the end of a session is not signed by the pinned coordinator key");
    }
    if (session !== null && message.transcriptDigest !== null) {
      this.#told = { session, digest: message.transcriptDigest };
    }
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

  /** Between an attempt and the next of the same round there is no other session: the digest must be the one told. */
  #checkStory(session: Session): void {
    const told = this.#told;
    if (told === null || told.session.purpose !== session.purpose || told.session.round !== session.round) return;
    if (session.attempt !== told.session.attempt + 1 || session.previousTranscriptDigest === told.digest) return;
    throw new CodedError("SESSION_SPLIT_VIEW", "the invitation follows another transcript than this site was told of", {
      expected: told.digest,
      got: session.previousTranscriptDigest,
    });
  }
}
