/** One attempt at a sum as the session sees it: the coordinator's steps in, this client's answers out. */
import { CodedError } from "../../shared/errors.ts";
import type { Sha256 } from "../../shared/ids.ts";
import type { SitePolicy } from "../../shared/config/site.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { bytesOf, type Words } from "../../shared/secagg/mask.ts";
import { maskedInput, roster, shares, signatures, survivors } from "../../shared/secagg/messages.ts";
import type { Session } from "../../shared/secagg/session.ts";
import {
  COORDINATOR,
  EVERYONE,
  openSigned,
  parsePayload,
  type SignedStep,
  type Step,
} from "../../shared/secagg/signed.ts";
import type { ClientRound } from "../secagg/client-round.ts";
import { checkCohort, checkSurvivors } from "../policy/round-policy.ts";
import type { Self } from "./ports.ts";

/** A vector on its way out, protected, and the step that announces it. */
export interface ProtectedVector {
  /** For the outbox. */
  readonly kind: "masked vector" | "boxed vector";
  readonly bytes: Uint8Array;
  readonly hash: Sha256;
  readonly step: SignedStep;
}

export interface Sum {
  readonly session: Session;
  /** What is sent first; null when nothing comes before the vector. */
  begin(): Promise<SignedStep | null>;
  /** Checks a step of the coordinator and answers it; null when it needs no answer. Throws coded errors. */
  answer(step: SignedStep): Promise<SignedStep | null>;
  /** May {@link protect} be called? */
  readonly wantsVector: boolean;
  /** Masks or boxes the encoded vector, in place, once. */
  protect(words: Words): Promise<ProtectedVector>;
  /** Whom this client accuses when it leaves over this error, signed; null: nobody. */
  accuse(error: CodedError): SignedStep | null;
  /** Forgets every secret. */
  wipe(): void;
}

export interface SumParts {
  readonly crypto: CryptoPort;
  readonly coordinatorKey: Uint8Array;
  readonly self: Self;
  readonly policy: SitePolicy;
}

/** Secure aggregation. */
export class SecureSum implements Sum {
  readonly #parts: SumParts;
  readonly #round: ClientRound;
  #wantsVector = false;

  constructor(parts: SumParts, round: ClientRound) {
    this.#parts = parts;
    this.#round = round;
  }

  get session(): Session {
    return this.#round.session;
  }

  get wantsVector(): boolean {
    return this.#wantsVector;
  }

  begin(): Promise<SignedStep> {
    return this.#round.advertise();
  }

  async answer(message: SignedStep): Promise<SignedStep | null> {
    const { policy } = this.#parts;
    const { reading } = this.#round;
    const { purpose } = this.session;
    const text = this.#open(message);
    const from = { step: message.step, sender: COORDINATOR };
    switch (message.step) {
      case "roster": {
        const given = reading.parse(roster, from, text);
        checkCohort(policy, purpose, given.entries.length);
        return this.#round.shareKeys(given);
      }
      case "shares":
        this.#round.acceptShares(parsePayload(shares, from, text));
        this.#wantsVector = true;
        return null;
      case "survivors": {
        const given = reading.parse(survivors, from, text);
        checkSurvivors(policy, given.survivors.length);
        return this.#round.confirmSurvivors(given);
      }
      case "signatures":
        return this.#round.reveal(parsePayload(signatures, from, text));
      default:
        throw new CodedError("SECAGG_STEP", `${message.step} is not a step of the coordinator`, { step: message.step });
    }
  }

  async protect(words: Words): Promise<ProtectedVector> {
    this.#wantsVector = false;
    const step = await this.#round.mask(words);
    const { hash } = parsePayload(maskedInput, step, step.payload);
    return { kind: "masked vector", bytes: bytesOf(words), hash, step };
  }

  accuse(error: CodedError): SignedStep | null {
    return this.#round.accuse(error);
  }

  wipe(): void {
    this.#round.wipe();
  }

  /** On a sparse graph each client is shown the signatures of its own holders. */
  #forEveryone(step: Step): boolean {
    if (step === "signatures") return this.#round.complete;
    return step === "roster" || step === "survivors";
  }

  /** The payload of a step that the pinned coordinator signed for this client in this session. */
  #open(message: SignedStep): string {
    const { crypto, coordinatorKey, self } = this.#parts;
    // What all must see alike is signed for everyone at once, so that a list for one client alone is not accepted.
    const recipient = this.#forEveryone(message.step) ? EVERYONE : self.name;
    return openSigned(
      crypto,
      coordinatorKey,
      this.session,
      { step: message.step, sender: COORDINATOR, recipient },
      message,
    );
  }
}
