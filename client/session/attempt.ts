/**
 * One client's part in one attempt: answers the coordinator's steps in the order in which they come, protects the
 * trained vector once keys and training are ready, and leaves with a coded reason when anything is wrong. A repeated
 * step gets the same answer again; whatever comes after the end is ignored.
 */
import { isDeepStrictEqual } from "node:util";
import { CodedError, isCoded } from "../../shared/errors.ts";
import { hashOfText } from "../../shared/canonical.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import type { Session } from "../../shared/secagg/session.ts";
import type { SignedStep, Step } from "../../shared/secagg/signed.ts";
import type { SiteCopy } from "../../shared/transcript/copy.ts";
import type { Begin } from "./judge.ts";
import type { Log } from "./ports.ts";
import type { Sender } from "./sender.ts";
import type { Sum } from "./sum.ts";

export interface AttemptParts {
  readonly self: ClientName;
  readonly invitation: Begin;
  /** Awaited before shares are revealed: what cannot be written down is not done. */
  readonly revealing: (copy: SiteCopy) => Promise<void>;
  /** Awaited when the coordinator has the vector, before anything else is answered. */
  readonly delivered: () => Promise<void>;
  /** Told that this client leaves, and why. */
  readonly refused: (error: Reason) => void;
  readonly sum: Sum;
  readonly sender: Sender;
  readonly log: Log;
  /** The encoded vector: trains or scores; called once, at the beginning. */
  readonly work: (signal: AbortSignal) => Promise<Words>;
  /** Awaited before each step that is computed for long, so that heartbeats go out between them. */
  readonly pause?: () => Promise<void>;
}

interface Reason {
  readonly code: string;
  readonly message: string;
}

interface Answered {
  readonly step: SignedStep;
  answer: SignedStep | null;
}

export class Attempt {
  readonly #parts: AttemptParts;
  readonly #over = new AbortController();
  readonly #answered = new Map<Step, Answered>();
  #first: SignedStep | null = null;
  #last: SignedStep | null = null;
  #vector: Promise<Words> | null = null;
  #delivered = false;
  #queue: Promise<void> = Promise.resolve();

  constructor(parts: AttemptParts) {
    this.#parts = parts;
  }

  get session(): Session {
    return this.#parts.sum.session;
  }

  /** Whether the coordinator has this client's vector. */
  get delivered(): boolean {
    return this.#delivered;
  }

  get over(): boolean {
    return this.#over.signal.aborted;
  }

  /** Takes part: advertises keys, and begins to train at once. Repeated: says again what came first. */
  begin(): void {
    this.#inTurn(async () => {
      const { sum, work } = this.#parts;
      if (this.#vector !== null) {
        // Without a first step `begin` itself asks for the vector.
        const again = this.#first ?? this.#last;
        if (again !== null) await this.#send(again);
        return;
      }
      // Refused here, the attempt costs no training.
      this.#first = await sum.begin();
      this.#vector = work(this.#over.signal);
      this.#vector.catch((error: unknown) => this.#fail(error));
      if (this.#first !== null) await this.#send(this.#first);
      this.#sendVector();
    });
  }

  /** A step of the coordinator. */
  step(step: SignedStep): void {
    this.#inTurn(async () => {
      const { sum } = this.#parts;
      const before = this.#answered.get(step.step);
      if (before !== undefined && isDeepStrictEqual(before.step, step)) {
        if (before.answer !== null) await this.#send(before.answer);
        return;
      }
      await this.#parts.pause?.();
      if (this.over) return;
      const answer = await sum.answer(step);
      this.#answered.set(step.step, { step, answer });
      if (answer?.step === "unmask") await this.#parts.revealing(this.copy(null));
      if (answer !== null) await this.#send(answer);
      this.#sendVector();
    });
  }

  /** The coordinator ended the attempt, or another took its place: every secret is wiped. */
  end(why: string): void {
    if (this.over) return;
    this.#over.abort(new CodedError("ATTEMPT_OVER", why));
    this.#parts.sum.wipe();
  }

  /** What this site signed and saw so far. */
  copy(ended: SiteCopy["ended"]): SiteCopy {
    const { type: _type, ...invitation } = this.#parts.invitation;
    const shown = COPIED.flatMap((step) => this.#answered.get(step)?.step ?? []);
    const sent = [this.#first, ...[...this.#answered.values()].map(({ answer }) => answer), this.#last];
    const own = new Map(sent.flatMap((step) => (step === null ? [] : [[step.step, step] as const])));
    return {
      schema: 1,
      client: this.#parts.self,
      invitation,
      shown,
      own: [...own.values()].map(({ step, payload, signature }) => ({
        step: step as SiteCopy["own"][number]["step"],
        payloadHash: hashOfText(payload),
        signature,
      })),
      ended,
    };
  }

  /** Resolves when nothing of this attempt runs any more. */
  async settled(): Promise<void> {
    await this.#queue;
    await this.#vector?.catch(() => undefined);
    await this.#queue;
  }

  /** Once keys and training are both ready. */
  #sendVector(): void {
    const { sum, sender } = this.#parts;
    if (!sum.wantsVector || this.#vector === null) return;
    const vector = this.#vector;
    this.#vector = vector.then((words) => {
      this.#inTurn(async () => {
        await this.#parts.pause?.();
        if (this.over || !sum.wantsVector) return;
        const { kind, bytes, hash, step } = await sum.protect(words);
        await sender.upload(kind, this.session, hash, bytes, this.#over.signal);
        this.#last = step;
        const shares = this.#answered.get("shares");
        // A repeated `shares` means that the coordinator has not heard this answer.
        if (shares !== undefined) shares.answer = step;
        await this.#send(step);
        this.#delivered = true;
        await this.#parts.delivered();
      });
      return words;
    });
    this.#vector.catch(() => undefined);
  }

  async #send(signed: SignedStep): Promise<void> {
    await this.#parts.sender.deliver({ type: "step", signed }, this.session, this.#over.signal);
  }

  #inTurn(work: () => Promise<void>): void {
    this.#queue = this.#queue
      .then(async () => {
        if (!this.over) await work();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  /** Leaves the attempt and tells both ends why. */
  #fail(error: unknown): void {
    if (this.over) return;
    const { sender, log } = this.#parts;
    const { sid, purpose, round, attempt } = this.session;
    const code = isCoded(error) ? error.code : "TRAINING_FAILED";
    const message = error instanceof Error ? error.message : String(error);
    log.error({ code, purpose, round, attempt, error: isCoded(error) ? error.details : error }, message);
    this.end(message);
    const reason = { code, message: message.slice(0, 2_000) };
    this.#parts.refused(reason);
    const accused = isCoded(error) ? this.#parts.sum.accuse(error) : null;
    const accusation =
      accused === null ? {} : { accusation: { payload: accused.payload, signature: accused.signature } };
    const patience = AbortSignal.timeout(DECLINE_PATIENCE_MS);
    const decline = { type: "decline", sid: sid as Sha256, reason, ...accusation } as const;
    sender.deliver(decline, this.session, patience).catch(() => {
      log.warn({ purpose, round, attempt }, "the coordinator was not told that this site left the attempt");
    });
  }
}

/** What the coordinator shows to everybody. */
const COPIED: readonly Step[] = ["roster", "survivors", "signatures"];

/** Later nobody waits for this client's answer any more. */
const DECLINE_PATIENCE_MS = 60_000;
