/**
 * The cryptographic side of one secure sum at the coordinator: checks the clients' steps before they become events,
 * writes the coordinator's own, and adds up at the end. Holds only what follows from the state, so that a process that
 * takes over in the middle of an attempt goes on with the same bytes.
 */
import {
  admitAccusation,
  admitAdvertisement,
  admitConsistency,
  admitMaskedInput,
  admitShareKeys,
  admitUnmask,
  type AdmittedUnmask,
} from "../aggregate/admit.ts";
import type { AdmittedShares } from "../aggregate/admitted-shares.ts";
import { announce, announcement } from "../aggregate/announce.ts";
import type { AggregateRules } from "../aggregate/decode.ts";
import { judge, type VectorReader } from "../aggregate/robust/judge.ts";
import { sealedReader, wordsReader } from "../aggregate/robust/readers.ts";
import type { RobustRule } from "../aggregate/robust/rules.ts";
import { robustTotal } from "../aggregate/robust/total.ts";
import { addSealed } from "../aggregate/sealed-sum.ts";
import {
  applyMasks,
  memorySource,
  readingMemory,
  secureSum,
  VECTORS_AT_ONCE,
  type Unmasker,
} from "../aggregate/secure-sum.ts";
import { remainingMasks, type Sharing } from "../aggregate/unmask.ts";
import type { BlobStore } from "../store/port.ts";
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Trust } from "../../shared/secagg/certificate.ts";
import type { AgreementKey, CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { newWords, type WordBits, type Words } from "../../shared/secagg/mask.ts";
import { groupsOf, type GroupRule } from "../../shared/secagg/groups.ts";
import { maskedInput } from "../../shared/secagg/messages.ts";
import { consistencyDigest, openRoster, type Members } from "../../shared/secagg/roster.ts";
import { sealedLength } from "../../shared/secagg/sealed.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { COORDINATOR, openSigned, parsePayload, statementOf, type SignedStep } from "../../shared/secagg/signed.ts";
import type { SharingGraph } from "../../shared/secagg/sharing-graph.ts";
import { blobSource } from "./blob-source.ts";
import type { HandedVectors } from "./parts.ts";
import type { ByClient, CheckingConsistency, Exclusion, MaskedInput, Sum, SumComplete, Unmasking } from "./state.ts";
import { graphOf, names } from "./phases/phase.ts";

export interface DeskParts {
  readonly crypto: CryptoPort;
  /** The coordinator's identity, and the same key for vectors sealed to it. */
  readonly keys: { readonly signing: SigningKey; readonly box: AgreementKey };
  readonly blobs: BlobStore;
  readonly handed: HandedVectors | null;
  readonly trust: () => Trust;
  /** The enrolled Ed25519 key; null for a client that is not enrolled. */
  readonly keyOf: (client: ClientName) => Uint8Array | null;
  /** Hands the event loop on between blocks. */
  readonly pause: () => Promise<void>;
  /** Threads that take masks off; null: none. */
  readonly unmasker: Unmasker | null;
}

/** The vector to be summed. */
export interface VectorShape {
  readonly wordBits: WordBits;
  readonly words: number;
}

/** How updates are judged where they are visible, and made one. */
export interface Robustness {
  readonly rules: AggregateRules;
  /** null: the mean. */
  readonly rule: RobustRule | null;
  /** Under secure aggregation: groups are summed, and their means compared. */
  readonly groups: GroupRule | null;
  /** Fewest updates for the rule. */
  readonly needed: number;
}

export interface Total {
  readonly words: Words;
  readonly survivors: readonly ClientName[];
  /** Sealed vectors that did not open. */
  readonly rejected: ByClient<Exclusion>;
}

export class SumDesk {
  readonly #parts: DeskParts;
  readonly #session: Session;
  readonly #shape: VectorShape;
  readonly #robustness: Robustness | null;
  // What was admitted, by the very message: another one that was sent meanwhile never stands in for the recorded one.
  readonly #shares = new WeakMap<SignedStep, AdmittedShares>();
  readonly #reveals = new WeakMap<SignedStep, AdmittedUnmask>();
  readonly #sharedIn = new WeakMap<ByClient<SignedStep>, ReadonlyMap<ClientName, AdmittedShares>>();
  readonly #written = new Map<string, SignedStep>();
  #members: Members | null = null;
  #digest: Sha256 | null = null;

  constructor(parts: DeskParts, session: Session, shape: VectorShape, robustness: Robustness | null = null) {
    this.#parts = parts;
    this.#session = session;
    this.#shape = shape;
    this.#robustness = robustness;
  }

  /** Bytes of one client's upload. */
  uploadBytes(sum: { readonly mode: Sum["mode"] }): number {
    const bytes = (this.#shape.words * this.#shape.wordBits) / 8;
    return sum.mode === "off" && this.#parts.handed === null ? sealedLength(bytes) : bytes;
  }

  /**
   * Checks a step that fits the sum's phase. Throws coded errors that name the client.
   * @returns the hash of the vector that a masked input announces, null for other steps
   */
  admit(sum: Sum, message: SignedStep, nowMs: number): Sha256 | null {
    const { crypto, trust } = this.#parts;
    const session = this.#session;
    const client = message.sender as ClientName;
    switch (message.step) {
      case "advertise-keys":
        admitAdvertisement(crypto, trust(), session, message, nowMs);
        return null;
      case "share-keys":
        this.#shares.set(message, this.#admitShares(sum, message));
        return null;
      case "masked-input":
        if (sum.mode === "off") return this.#admitSealed(client, message);
        return admitMaskedInput(crypto, session, this.#roster(sum), this.#shape.words, message).hash;
      case "consistency":
        if (sum.phase === "checking-consistency") {
          admitConsistency(crypto, session, this.#roster(sum), this.#listDigest(sum), message);
        }
        return null;
      case "unmask":
        if (sum.phase === "unmasking") this.#reveals.set(message, this.#admitReveal(sum, message));
        return null;
      default:
        throw new CodedError("WIRE_INVALID", `clients do not send ${message.step}`, { client, field: "step" });
    }
  }

  /** A client's accusation of other members. Throws coded errors where it is none that counts. */
  accusation(
    sum: Sum,
    client: ClientName,
    given: { readonly payload: string; readonly signature: string },
  ): NonNullable<Exclusion["accusation"]> {
    if (sum.mode === "off" || sum.phase === "advertising-keys") {
      throw new CodedError("SECAGG_STEP", `${client} accuses somebody before there is a roster`, { client });
    }
    return admitAccusation(this.#parts.crypto, this.#session, this.#roster(sum), client, given);
  }

  /** One of the coordinator's steps; the same bytes each time. */
  write(sum: Sum, step: "roster" | "shares" | "survivors" | "signatures", client: ClientName): SignedStep {
    // For one client alone: written again if it asks again, rather than kept for every one.
    if (step === "shares" || (step === "signatures" && !this.#graph(sum).complete)) {
      return this.#write(sum, step, client);
    }
    const written = this.#written.get(step) ?? this.#write(sum, step, client);
    this.#written.set(step, written);
    return written;
  }

  /** The sum of the survivors' vectors, or what a robust rule puts in its place. SECAGG_SECRET_FALSE, SECAGG_SHARES_FEW, WIRE_HASH, ROUND_TOO_FEW. */
  async total(sum: SumComplete): Promise<Total> {
    const { rule = null } = this.#robustness ?? {};
    if (this.#robustness !== null && rule !== null) return this.#totalRobust(sum, this.#robustness, rule);
    const { crypto, blobs, handed, pause, unmasker } = this.#parts;
    const survivors = names(sum.inputs);
    const vectors = survivors.flatMap((name) => sum.inputs[name] ?? []);
    const given = handed?.sum(
      sum.sid,
      vectors.map(({ vector }) => vector),
    );
    if (sum.mode === "off") {
      return given === undefined ? this.#totalSealed(sum, survivors) : { words: given, survivors, rejected: {} };
    }
    const members = this.#roster(sum);
    const list = { survivors, dropouts: dropoutsOf(sum) };
    const reveals = names(sum.reveals).map((name) => this.#reveal(sum, name));
    const sharing: Sharing = { limits: this.#graph(sum).limits, shared: this.#sharedBy(sum) };
    const masks = await remainingMasks(crypto, this.#session, members, sharing, list, reveals, pause);
    if (given !== undefined) {
      await applyMasks(crypto, given, masks, pause, unmasker);
      return { words: given, survivors, rejected: {} };
    }
    const memory = readingMemory(vectors.length, this.uploadBytes(sum));
    const sources = vectors.map(({ vector, bytes }, i) =>
      blobSource(blobs, vector, bytes, memory[i % VECTORS_AT_ONCE]),
    );
    return { words: await secureSum(crypto, this.#shape, sources, masks, pause, unmasker), survivors, rejected: {} };
  }

  #write(sum: Sum, step: "roster" | "shares" | "survivors" | "signatures", client: ClientName): SignedStep {
    const { crypto, keys } = this.#parts;
    const tell = (payload: Parameters<typeof announce>[4], recipient?: ClientName): SignedStep =>
      announce(crypto, keys.signing, this.#session, step, payload, recipient);
    switch (step) {
      case "roster":
        return tell(announcement.roster(statements(sum.advertised)));
      case "shares": {
        const addressed = names(sharedOf(sum))
          .filter((from) => from !== client)
          .flatMap((from) => this.#sharesOf(sum, from).statementFor(client) ?? []);
        const { complete } = this.#graph(sum);
        return tell(announcement.shares(addressed, complete ? undefined : names(sharedOf(sum))), client);
      }
      case "survivors": {
        const inputs = "inputs" in sum ? sum.inputs : {};
        const given = names(inputs).flatMap((name) => inputs[name]?.signed ?? []);
        return tell(announcement.survivors(given.map(statementOf), names(sharedOf(sum))));
      }
      case "signatures": {
        const given = "signatures" in sum ? statements(sum.signatures) : [];
        if (this.#graph(sum).complete) return tell(announcement.signatures(given));
        const shares = this.#sharesOf(sum, client);
        return tell(announcement.signatures(given.filter(({ sender }) => shares.isHeldBy(sender))), client);
      }
    }
  }

  #graph(sum: Sum | SumComplete): SharingGraph {
    const graph = graphOf(sum, names(sum.advertised).length);
    if (graph === null) throw new Error("nothing is shared with a trusted coordinator");
    return graph;
  }

  #admitShares(sum: Sum | SumComplete, message: SignedStep): AdmittedShares {
    const { neighbours } = this.#graph(sum);
    return admitShareKeys(this.#parts.crypto, this.#session, this.#roster(sum), message, neighbours);
  }

  /** What everybody who shared keys shared. */
  #sharedBy(sum: Unmasking | SumComplete): ReadonlyMap<ClientName, AdmittedShares> {
    // The record stays the same from the end of sharing on, and everybody who reveals is checked by it.
    const known = this.#sharedIn.get(sum.shared);
    if (known !== undefined) return known;
    const shared = new Map(names(sum.shared).map((name) => [name, this.#sharesOf(sum, name)]));
    this.#sharedIn.set(sum.shared, shared);
    return shared;
  }

  /** Everybody who advertised; fixed once advertising has closed. */
  #roster(sum: Sum | SumComplete): Members {
    const { crypto, trust } = this.#parts;
    // Expiry and revocation were judged when each advertised: an attempt that outlasts a certificate is finished, also
    // by a process that takes over. Members judge the roster by their own list.
    const then: Trust = { ...trust(), revoked: new Set() };
    this.#members ??= openRoster(crypto, then, this.#session, statements(sum.advertised), sum.startedAt);
    return this.#members;
  }

  #sharesOf(sum: Sum | SumComplete, from: ClientName): AdmittedShares {
    const message = sharedOf(sum)[from];
    if (message === undefined) throw new Error(`${from} shared no keys`);
    const known = this.#shares.get(message);
    if (known !== undefined) return known;
    const admitted = this.#admitShares(sum, message);
    this.#shares.set(message, admitted);
    return admitted;
  }

  #listDigest(sum: CheckingConsistency): Sha256 {
    const hashes = names(sum.inputs).flatMap((name) => {
      const input = sum.inputs[name];
      return input === undefined ? [] : [{ name, hash: input.vector }];
    });
    const { crypto } = this.#parts;
    this.#digest ??= consistencyDigest(crypto, this.#session, this.#roster(sum), names(sum.shared), hashes);
    return this.#digest;
  }

  #reveal(sum: SumComplete, client: ClientName): AdmittedUnmask {
    const message = sum.reveals[client] as SignedStep;
    return this.#reveals.get(message) ?? this.#admitReveal(sum, message);
  }

  #admitReveal(sum: Unmasking | SumComplete, message: SignedStep): AdmittedUnmask {
    const shared = this.#sharedBy(sum);
    const list = { survivors: names(sum.inputs), dropouts: dropoutsOf(sum) };
    return admitUnmask(this.#parts.crypto, this.#session, this.#roster(sum), list, shared, message);
  }

  #admitSealed(client: ClientName, message: SignedStep): Sha256 {
    const { crypto, keyOf } = this.#parts;
    const key = keyOf(client);
    if (key === null) throw new CodedError("AUTH_UNKNOWN_CLIENT", `${client} is not enrolled`, { client });
    const heading = { step: "masked-input", sender: client, recipient: COORDINATOR } as const;
    const input = parsePayload(maskedInput, heading, openSigned(crypto, key, this.#session, heading, message));
    if (input.words !== this.#shape.words) {
      throw new CodedError("UPDATE_SHAPE", `${client} sends ${input.words} words, expected ${this.#shape.words}`, {
        client,
        expected: this.#shape.words,
        got: input.words,
      });
    }
    return input.hash;
  }

  async #totalRobust(sum: SumComplete, { rules, groups, needed }: Robustness, rule: RobustRule): Promise<Total> {
    const { pause } = this.#parts;
    const readers = groups === null ? this.#readers(sum) : await this.#groupReaders(sum, groups);
    const least = groups === null ? sum.minSurvivors : needed;
    const { words, survivors, rejected } = await robustTotal(rules, rule, readers, least, pause);
    const exclusions = [...rejected].map(([client, { code, message }]) => [
      client,
      { code, message, at: sum.since, lasting: true },
    ]);
    return { words, survivors, rejected: Object.fromEntries(exclusions) as ByClient<Exclusion> };
  }

  #readers(sum: SumComplete): VectorReader[] {
    const { crypto, blobs, keys, handed } = this.#parts;
    const inputs = names(sum.inputs).map((client) => ({ client, input: sum.inputs[client] as MaskedInput }));
    if (handed === null) {
      return inputs.map(({ client, input: { vector, bytes } }) =>
        sealedReader(crypto, { sid: sum.sid, client, key: keys.box }, this.#shape.wordBits, () =>
          blobSource(blobs, vector, bytes),
        ),
      );
    }
    const vectors = handed.each(
      sum.sid,
      inputs.map(({ input }) => input.vector),
    );
    return inputs.map(({ client }, i) => wordsReader([client], vectors[i] as Words));
  }

  /** The sum of every group. Its masks are those of its own survivors and dropouts: no others were made. */
  async #groupReaders(sum: SumComplete, { size }: GroupRule): Promise<VectorReader[]> {
    const { crypto, blobs, handed, pause, unmasker } = this.#parts;
    const members = this.#roster(sum);
    const dropouts = new Set(dropoutsOf(sum));
    const reveals = names(sum.reveals).map((name) => this.#reveal(sum, name));
    const sharing: Sharing = { limits: this.#graph(sum).limits, shared: this.#sharedBy(sum) };
    const roster = members.list.map(({ name }) => name);
    const readers: VectorReader[] = [];
    for (const group of groupsOf(crypto, this.#session, roster, size)) {
      const survivors = group.filter((name) => sum.inputs[name] !== undefined);
      const list = { survivors, dropouts: group.filter((name) => dropouts.has(name)) };
      const masks = await remainingMasks(crypto, this.#session, members, sharing, list, reveals, pause);
      const inputs = survivors.map((name) => sum.inputs[name] as MaskedInput);
      const hashes = inputs.map(({ vector }) => vector);
      const sources =
        handed === null
          ? inputs.map(({ vector, bytes }) => blobSource(blobs, vector, bytes))
          : handed.each(sum.sid, hashes).map(memorySource);
      readers.push(wordsReader(survivors, await secureSum(crypto, this.#shape, sources, masks, pause, unmasker)));
    }
    return readers;
  }

  /** One vector at a time; one that does not open, or that no honest client sends, is left out alone. */
  async #totalSealed(sum: SumComplete, clients: readonly ClientName[]): Promise<Total> {
    const { crypto, blobs, keys, pause } = this.#parts;
    const { wordBits, words } = this.#shape;
    const total = newWords(wordBits, words);
    const survivors: ClientName[] = [];
    const rejected: Record<ClientName, Exclusion> = {};
    for (const client of clients) {
      try {
        // Damaged in the store it will not mend: the others go on.
        const sealed = await blobs.get(sum.inputs[client]?.vector as Sha256);
        const from = { sid: sum.sid, client, key: keys.box };
        if (this.#robustness !== null) {
          const source = { byteLength: sealed.length, read: (at: number, n: number) => sealed.subarray(at, at + n) };
          await judge(
            this.#robustness.rules,
            sealedReader(crypto, from, wordBits, () => source),
            pause,
          );
        }
        await addSealed(crypto, from, sealed, total, pause);
        survivors.push(client);
      } catch (error) {
        if (!isCoded(error)) throw error;
        rejected[client] = { code: error.code, message: error.message, at: sum.since, lasting: true };
      }
    }
    if (survivors.length < sum.minSurvivors) {
      const message = `${survivors.length} readable vectors, ${sum.minSurvivors} are needed`;
      throw new CodedError("ROUND_TOO_FEW", message, { rejected: Object.keys(rejected) });
    }
    return { words: total, survivors, rejected };
  }
}

function statements(steps: ByClient<SignedStep>): ReturnType<typeof statementOf>[] {
  return names(steps).flatMap((name) => {
    const signed = steps[name];
    return signed === undefined ? [] : [statementOf(signed)];
  });
}

function sharedOf(sum: Sum | SumComplete): ByClient<SignedStep> {
  return "shared" in sum ? sum.shared : {};
}

/** Who shared keys but is not in the sum. */
function dropoutsOf(sum: Unmasking | SumComplete): ClientName[] {
  return names(sum.shared).filter((name) => sum.inputs[name] === undefined);
}
