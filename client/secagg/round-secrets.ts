/**
 * The secrets of one attempt: two X25519 keys, the self-mask seed b, and the shares held for others. Memory only.
 * Masks are made with all who share keys on the complete graph, and on a sparse one with those of them that this client
 * picked as holders and those that picked it.
 */
import { CodedError, isCoded } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { AgreementKey, CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import { pairwiseMask, selfMask, type Mask } from "../../shared/secagg/mask.ts";
import type { AdvertiseKeys } from "../../shared/secagg/messages.ts";
import type { Member, Members } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { split } from "../../shared/secagg/shamir.ts";
import { boxKeyOf, commitToOwnShare, commitToSelfMask, openShares, sealShares } from "../../shared/secagg/share-box.ts";
import { sharePart } from "../../shared/secagg/share-tree.ts";
import type { Statement } from "../../shared/secagg/signed.ts";
import type { Thresholds } from "../../shared/secagg/thresholds.ts";
import { pointOf } from "../../shared/secagg/sharing-graph.ts";

interface Held {
  readonly selfMask: Uint8Array;
  /** Null for the client's own s, of which it never holds a share. */
  readonly maskKey: Uint8Array | null;
}

export class RoundSecrets {
  readonly #crypto: CryptoPort;
  readonly #random: SecureRng;
  readonly #session: Session;
  readonly #name: ClientName;
  readonly #seed: Uint8Array;
  readonly #maskSecret: Uint8Array;
  #boxKey: AgreementKey | null;
  #maskKey: AgreementKey | null;
  #advertised: Omit<AdvertiseKeys, "certificate">;
  #members: Members | null = null;
  /** Who holds shares of this client's secrets, itself included. */
  #holders: ReadonlySet<ClientName> = new Set();
  /** Everyone who shared keys, this client included, sorted. */
  #sharers: readonly ClientName[] = [];
  readonly #boxKeys = new Map<ClientName, Uint8Array>();
  /** X25519 of the mask keys, by peer. */
  readonly #pairSecrets = new Map<ClientName, Uint8Array>();
  readonly #held = new Map<ClientName, Held>();

  constructor(crypto: CryptoPort, random: SecureRng, session: Session, name: ClientName) {
    this.#crypto = crypto;
    this.#random = random;
    this.#session = session;
    this.#name = name;
    const boxSecret = random.bytes(32);
    this.#boxKey = crypto.agreementKey(boxSecret);
    boxSecret.fill(0);
    this.#maskSecret = random.bytes(32);
    this.#maskKey = crypto.agreementKey(this.#maskSecret);
    this.#seed = random.bytes(32);
    this.#advertised = {
      boxKey: toBase64(this.#boxKey.publicKey),
      maskKey: toBase64(this.#maskKey.publicKey),
      selfMask: toBase64(commitToSelfMask(crypto, session.sid, name, this.#seed)),
    };
  }

  get wiped(): boolean {
    return this.#maskKey === null;
  }

  advertised(): Omit<AdvertiseKeys, "certificate"> {
    return this.#advertised;
  }

  members(): Members {
    if (!this.#members) throw new Error("no roster yet");
    return this.#members;
  }

  /** Who holds shares of this client's secrets, itself included. */
  get holders(): ReadonlySet<ClientName> {
    return this.#holders;
  }

  sharers(): readonly ClientName[] {
    return this.#sharers;
  }

  /** Does this client hold a share of that one's secrets? */
  holds(owner: ClientName): boolean {
    return this.#held.has(owner);
  }

  /**
   * Splits both secrets; one payload per holder, in order. SECAGG_KEY_WEAK names the owner of a bad key.
   * @param holders of the roster, sorted, this client among them
   */
  share(members: Members, holders: readonly Member[], limits: Thresholds): { to: ClientName; payload: string }[] {
    const { sid } = this.#session;
    const others = holders.filter(({ name }) => name !== this.#name);
    for (const other of others) this.#agree(other);
    const points = holders.map((_, place) => pointOf(place));
    const othersPoints = points.filter((_, place) => holders[place]?.name !== this.#name);
    const seedShares = split(this.#random, this.#seed, points, limits.selfMask);
    const keyShares = split(this.#random, this.#maskSecret, othersPoints, limits.maskKey);
    this.#members = members;
    this.#holders = new Set(holders.map(({ name }) => name));
    return holders.map(({ name: to }, i) => {
      const seedShare = seedShares[i] as Uint8Array;
      if (to === this.#name) {
        this.#held.set(to, { selfMask: seedShare, maskKey: null });
        return { to, payload: commitToOwnShare(this.#crypto, sid, to, seedShare) };
      }
      const keyShare = keyShares.shift() as Uint8Array;
      const boxKey = this.#boxKeys.get(to) as Uint8Array;
      const route = { sid, from: this.#name, to };
      const payload = sealShares(this.#crypto, this.#random, boxKey, route, seedShare, keyShare);
      seedShare.fill(0);
      keyShare.fill(0);
      return { to, payload };
    });
  }

  /**
   * Opens the shares of verified statements. Nothing is kept unless all are right; the error names every author of a
   * false one. SECAGG_KEY_WEAK as in {@link share}.
   * @param sharers everyone who shared keys, sorted, this client included
   */
  open(statements: readonly Statement[], sharers: readonly ClientName[]): void {
    const { sid } = this.#session;
    const opened = new Map<ClientName, Held>();
    const wrong: CodedError[] = [];
    for (const { sender: from, payload } of statements) {
      const boxKey = this.#agree(this.members().byName.get(from) as Member);
      try {
        opened.set(from, openShares(this.#crypto, boxKey, { sid, from, to: this.#name }, sharePart(payload)));
      } catch (error) {
        if (!isCoded(error, "SECAGG_SHARE_FALSE")) throw error;
        wrong.push(error);
      }
    }
    const [first] = wrong;
    if (first !== undefined) {
      const about = wrong.map(({ details }) => details["client"]);
      throw new CodedError(first.code, wrong.map(({ message }) => message).join("; "), { ...first.details, about });
    }
    for (const [from, held] of opened) this.#held.set(from, held);
    this.#sharers = sharers;
  }

  /** Agrees on both secrets with a peer, once, and gives the key of the boxes between the two. */
  #agree({ name, boxKey, maskKey }: Member): Uint8Array {
    const known = this.#boxKeys.get(name);
    if (known !== undefined) return known;
    const secret = this.#boxKey?.agree(boxKey);
    const pairSecret = this.#maskKey?.agree(maskKey);
    if (!secret || !pairSecret) {
      throw new CodedError("SECAGG_KEY_WEAK", `a key of ${name} is of low order`, { client: name });
    }
    const agreed = boxKeyOf(secret);
    this.#boxKeys.set(name, agreed);
    this.#pairSecrets.set(name, pairSecret);
    secret.fill(0);
    return agreed;
  }

  /** The self mask and one pairwise mask for every neighbour that shared keys; `among`: of these alone. */
  masks(among: ReadonlySet<ClientName> | null = null): Mask[] {
    const { sid } = this.#session;
    const key = this.#maskKey;
    if (!key) throw new Error("the secrets are wiped");
    const own = { name: this.#name, maskKey: key.publicKey };
    const masks = [selfMask(this.#crypto, sid, this.#seed)];
    for (const name of this.#sharers) {
      if (name === this.#name || !(this.#held.has(name) || this.#holders.has(name))) continue;
      if (among !== null && !among.has(name)) continue;
      const peer = this.members().byName.get(name) as Member;
      const secret = this.#pairSecrets.get(name) as Uint8Array;
      masks.push(pairwiseMask(this.#crypto, sid, secret, own, peer));
    }
    return masks;
  }

  heldShare(owner: ClientName, kind: "selfMask" | "maskKey"): Uint8Array {
    const share = this.#held.get(owner)?.[kind];
    if (!share) throw new Error(`no ${kind} share of ${owner}`);
    return share;
  }

  wipe(): void {
    this.#seed.fill(0);
    this.#maskSecret.fill(0);
    this.#boxKey = null;
    this.#maskKey = null;
    for (const key of [...this.#boxKeys.values(), ...this.#pairSecrets.values()]) key.fill(0);
    for (const { selfMask: share, maskKey } of this.#held.values()) {
      share.fill(0);
      maskKey?.fill(0);
    }
    this.#boxKeys.clear();
    this.#pairSecrets.clear();
    this.#held.clear();
  }
}
