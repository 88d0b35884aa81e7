/**
 * One client's part in one attempt of secure aggregation (Bonawitz et al. 2017, figure 4, malicious variant).
 * Holds the secrets of the attempt, in memory only, and refuses every message that would make it reveal more than
 * its share of one sum. A repeated message gets the same answer; a changed one is refused.
 *   advertise -> shareKeys -> acceptShares -> mask -> confirmSurvivors -> reveal -> wipe
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { SecureRng } from "../../shared/rng/secure.ts";
import type { Certificate, Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort, SigningKey } from "../../shared/secagg/crypto-port.ts";
import { toBase64 } from "../../shared/secagg/encoding.ts";
import {
  ACCUSATIONS,
  type Accusation,
  type AdvertiseKeys,
  type MaskedInput,
  type Roster,
  type ShareKeys,
  type Shares,
  type Signatures,
  type Survivors,
  type Unmask,
} from "../../shared/secagg/messages.ts";
import { fellowsOf, groupsOf, type GroupRule } from "../../shared/secagg/groups.ts";
import { inlineMasker, type Masker, type WordBits, type Words } from "../../shared/secagg/mask.ts";
import { consistencyPayload, sharersDigest } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { ShareTree } from "../../shared/secagg/share-tree.ts";
import {
  COORDINATOR,
  EVERYONE,
  sign,
  verifyStatement,
  type Party,
  type SignedStep,
  type Step,
} from "../../shared/secagg/signed.ts";
import { sharingGraph, type GraphRule, type SharingGraph } from "../../shared/secagg/sharing-graph.ts";
import type { SecureMode } from "../../shared/secagg/thresholds.ts";
import { checkRoster, checkShares, checkSurvivors, type Needs, type SurvivorView } from "./checks.ts";
import { checkGroups, checkGroupSizes } from "./groups.ts";
import { pickHolders } from "./holders.ts";
import { checkJoin, checkReveal, type RoundLog } from "./round-log.ts";
import { OWN_READING, type Reading } from "./reading.ts";
import { RoundSecrets } from "./round-secrets.ts";

export interface ClientRoundOptions {
  readonly crypto: CryptoPort;
  readonly random: SecureRng;
  readonly session: Session;
  readonly self: { readonly name: ClientName; readonly signingKey: SigningKey; readonly certificate: Certificate };
  readonly trust: Trust;
  /** From the approved plan. `words` is the length of the vector to be summed. */
  readonly plan: {
    readonly mode: SecureMode;
    readonly cohortMax: number;
    /** Who shares with how many. */
    readonly graph: GraphRule;
    readonly words: number;
    readonly wordBits: WordBits;
    /** Masks are made within groups, and each group is summed by itself; left out: one sum. */
    readonly groups?: GroupRule | null;
  };
  /** The site's own policy. An evaluation needs `minSurvivors` only: pass it as `minCohort`, too. */
  readonly site: { readonly minCohort: number; readonly minSurvivors: number; readonly allowVoid: boolean };
  readonly log: RoundLog;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Awaited every few milliseconds of masking, so that heartbeats go out. */
  readonly pause?: () => Promise<void>;
  /** Shared with other clients of this process, or by default its own. */
  readonly reading?: Reading;
  /** Where masking runs: a pool of threads, or by default this one. */
  readonly masker?: Masker;
}

interface Answered {
  readonly request: unknown;
  readonly answer: SignedStep | null;
}

export class ClientRound {
  readonly #options: ClientRoundOptions;
  readonly #secrets: RoundSecrets;
  readonly #answered = new Map<Step, Answered>();
  #maskedHash: Sha256 | null = null;
  #maskingBegan = false;
  #view: SurvivorView | null = null;
  /** Follows from the size of the roster. */
  #graph: SharingGraph | null = null;

  constructor(options: ClientRoundOptions) {
    this.#options = options;
    this.#secrets = new RoundSecrets(options.crypto, options.random, options.session, options.self.name);
  }

  get reading(): Reading {
    return this.#options.reading ?? OWN_READING;
  }

  get session(): Session {
    return this.#options.session;
  }

  /**
   * Step 1: records the attempt durably and advertises fresh keys.
   * SECAGG_ATTEMPT_REPLAYED, SECAGG_PARENT_CHANGED, SECAGG_PARENT_REUSED.
   */
  async advertise(): Promise<SignedStep> {
    const done = this.#answered.get("advertise-keys")?.answer;
    if (done) return done;
    const { log, session, site, self } = this.#options;
    checkJoin(log.entries(), session, site.allowVoid);
    const { purpose, round, attempt, parentHash } = session;
    await log.append({ type: "joined", purpose, round, attempt, parentHash });
    const payload: AdvertiseKeys = { certificate: self.certificate, ...this.#secrets.advertised() };
    return this.#answer("advertise-keys", "", this.#sign("advertise-keys", payload)) as SignedStep;
  }

  /**
   * Step 2: checks the roster and makes one boxed share of each secret for each holder.
   * Errors of `openRoster`, and SECAGG_ROSTER_SELF, _SMALL, _LARGE, _CHANGED, SECAGG_KEY_WEAK.
   */
  shareKeys(roster: Roster): SignedStep {
    const repeated = this.#repeated("roster", roster, "SECAGG_ROSTER_CHANGED");
    if (repeated) return repeated.answer as SignedStep;
    this.#after("advertise-keys", "roster");
    const { crypto, session, trust, site, plan, clock, self } = this.#options;
    const members = checkRoster(
      crypto,
      trust,
      session,
      roster,
      this.#secrets.advertised(),
      self.name,
      {
        minCohort: site.minCohort,
        cohortMax: plan.cohortMax,
        nowMs: clock(),
      },
      this.reading,
    );
    const graph = sharingGraph(members.list.length, plan.mode, plan.graph);
    if (plan.groups && !graph.complete) {
      const size = members.list.length;
      throw new CodedError("SECAGG_ROSTER_LARGE", `${size} clients are too many to be summed in groups`, { size });
    }
    const holders = pickHolders(this.#options.random, members, self.name, graph);
    this.#graph = graph;
    const made = this.#secrets.share(members, holders, graph.limits);
    return this.#answer("roster", roster, this.#sign("share-keys", this.#signShares(made))) as SignedStep;
  }

  /** Each share for its holder, or on a sparse graph, with its many holders, all at once. */
  #signShares(made: readonly { to: ClientName; payload: string }[]): ShareKeys {
    const { crypto, session, self } = this.#options;
    const signature = (recipient: Party, text: string) =>
      sign(crypto, self.signingKey, session, { step: "share", sender: self.name, recipient }, text).signature;
    if (!this.complete) return { shares: [...made], signature: signature(EVERYONE, new ShareTree(crypto, made).root) };
    return { shares: made.map(({ to, payload }) => ({ to, payload, signature: signature(to, payload) })) };
  }

  /**
   * Step 3: opens the others' shares; those who made one are the clients masks are made with.
   * SECAGG_SHARE_FALSE (names the author), SECAGG_ROSTER_UNKNOWN, SECAGG_SURVIVORS_FEW, SECAGG_HOLDERS_FEW,
   * SECAGG_GROUP_SMALL, SECAGG_SHARES_CHANGED.
   */
  acceptShares(shares: Shares): void {
    if (this.#repeated("shares", shares, "SECAGG_SHARES_CHANGED")) return;
    this.#after("roster", "shares");
    const { crypto, session, self, plan } = this.#options;
    const sharers = checkShares(crypto, session, this.#secrets.members(), self.name, this.#needs(), shares);
    if (plan.groups) checkGroupSizes("shared keys", this.#groups() ?? [], plan.groups, sharers);
    this.#secrets.open(shares.shares, sharers);
    this.#answer("shares", shares, null);
  }

  /**
   * Step 4: masks `words` in place, once, and signs their hash.
   * SECAGG_MASK_TWICE; UPDATE_SHAPE when the vector is not the plan's.
   */
  async mask(words: Words): Promise<SignedStep> {
    const { crypto, plan, pause } = this.#options;
    this.#after("shares", "masked-input");
    if (this.#maskingBegan) {
      throw new CodedError("SECAGG_MASK_TWICE", "this attempt's masks were used already", { sid: this.session.sid });
    }
    if (words.length !== plan.words || words.BYTES_PER_ELEMENT * 8 !== plan.wordBits) {
      const got = `${words.length} of ${words.BYTES_PER_ELEMENT * 8} bits`;
      throw new CodedError("UPDATE_SHAPE", `expected ${plan.words} words of ${plan.wordBits} bits, got ${got}`, {
        got,
      });
    }
    this.#maskingBegan = true;
    const masker = this.#options.masker ?? inlineMasker(crypto, pause);
    const groups = this.#groups();
    const masks = this.#secrets.masks(groups && fellowsOf(groups, this.#options.self.name));
    try {
      this.#maskedHash = bytesToHex(await masker(words, masks)) as Sha256;
    } finally {
      // Each of them would take its mask off again.
      for (const { key } of masks) key.fill(0);
    }
    const payload: MaskedInput = { hash: this.#maskedHash, words: words.length };
    const members = this.#secrets.members();
    const told = this.#needs().namesSharers
      ? { ...payload, sharers: sharersDigest(crypto, this.session, members, this.#secrets.sharers()) }
      : payload;
    const message = this.#sign("masked-input", told);
    return this.#answer("masked-input", "", message) as SignedStep;
  }

  /**
   * Step 5: checks the survivor list against everything this client knows and signs it.
   * SECAGG_SURVIVORS_CHANGED, _UNKNOWN, _SELF, _FEW, _HASH, SECAGG_HOLDERS_FEW, SECAGG_SHARERS, SECAGG_BOTH_SECRETS,
   * SECAGG_GROUP_SMALL, SECAGG_RETRY_ISOLATES.
   */
  confirmSurvivors(list: Survivors): SignedStep {
    const repeated = this.#repeated("survivors", list, "SECAGG_SURVIVORS_CHANGED");
    if (repeated) return repeated.answer as SignedStep;
    this.#after("masked-input", "survivors");
    const { crypto, session, self, plan, log } = this.#options;
    const view = checkSurvivors(
      crypto,
      session,
      this.#secrets.members(),
      this.#secrets.sharers(),
      { name: self.name, hash: this.#maskedHash as Sha256 },
      { ...this.#needs(), words: plan.words },
      list,
      this.reading,
    );
    if (plan.groups) checkGroups(log.entries(), session, this.#groups() ?? [], plan.groups, view.survivors);
    checkReveal(log.entries(), session, view.survivors);
    this.#view = view;
    const message = this.#sign("consistency", { digest: view.digest });
    return this.#answer("survivors", list, message) as SignedStep;
  }

  /**
   * Step 6: with enough signatures on the same list, records it durably and reveals: shares of b for survivors, of s
   * for dropouts. SECAGG_SIGNATURE, SECAGG_SIGNATURES_FEW, SECAGG_RETRY_ISOLATES.
   */
  async reveal(given: Signatures): Promise<SignedStep> {
    const done = this.#answered.get("signatures")?.answer;
    if (done) return done;
    this.#after("survivors", "signatures");
    const { session, log } = this.#options;
    const view = this.#view as SurvivorView;
    this.#checkSignatures(view, given);
    checkReveal(log.entries(), session, view.survivors);
    const { purpose, round, attempt, parentHash } = session;
    await log.append({ type: "revealed", purpose, round, attempt, parentHash, survivors: [...view.survivors] });
    const revealed = (names: readonly ClientName[], kind: "selfMask" | "maskKey") =>
      names
        .filter((owner) => this.#secrets.holds(owner))
        .map((owner) => ({ owner, share: toBase64(this.#secrets.heldShare(owner, kind)) }));
    const payload: Unmask = {
      selfMask: revealed(view.survivors, "selfMask"),
      maskKey: revealed(view.dropouts, "maskKey"),
    };
    return this.#answer("signatures", "", this.#sign("unmask", payload)) as SignedStep;
  }

  /**
   * What this client holds against other members when it leaves over this error, signed, so that they can be told from
   * a coordinator that lies; null when the error is nobody's of the roster.
   */
  accuse(error: CodedError): SignedStep | null {
    const code = ACCUSATIONS.find((known) => known === error.code);
    if (code === undefined) return null;
    const { about = [error.details["client"]] } = error.details as { about?: unknown[] };
    const payload: Accusation = { code, about: about.filter((name): name is ClientName => typeof name === "string") };
    return payload.about.length === 0 ? null : this.#sign("accuse", payload);
  }

  /** Overwrites every secret; every later call throws SECAGG_STEP. */
  wipe(): void {
    this.#secrets.wipe();
    this.#answered.clear();
    this.#view = null;
  }

  #groups(): ClientName[][] | null {
    const { crypto, session, plan } = this.#options;
    if (!plan.groups) return null;
    const roster = this.#secrets.members().list.map(({ name }) => name);
    return groupsOf(crypto, session, roster, plan.groups.size);
  }

  #checkSignatures(view: SurvivorView, given: Signatures): void {
    const { crypto, session } = this.#options;
    const members = this.#secrets.members();
    const { graph, holders } = this.#needs();
    const text = consistencyPayload(view.digest);
    const survivors = new Set(view.survivors);
    const signers = new Set<ClientName>();
    for (const { sender, signature } of given.signatures) {
      const member = members.byName.get(sender);
      if (!member || !survivors.has(sender)) {
        throw new CodedError("SECAGG_SURVIVORS_UNKNOWN", `${sender} signed, but is no survivor`, { client: sender });
      }
      const heading = { step: "consistency", sender, recipient: COORDINATOR } as const;
      verifyStatement(crypto, member.signingKey, session, heading, { payload: text, signature });
      if (holders.has(sender)) signers.add(sender);
    }
    // Only holders count (on the complete graph the whole roster), and this client's own signature does.
    signers.add(this.#options.self.name);
    const needed = graph.limits.selfMask;
    if (signers.size < needed) {
      throw new CodedError(
        "SECAGG_SIGNATURES_FEW",
        `${signers.size} signatures on the survivor list, needed ${needed}`,
        {
          got: signers.size,
          expected: needed,
        },
      );
    }
  }

  /** Does everybody share with everybody? True as long as there is no roster. */
  get complete(): boolean {
    return this.#graph?.complete ?? true;
  }

  #needs(): Needs {
    if (this.#graph === null) throw new Error("no roster yet");
    const { plan, site } = this.#options;
    return {
      mode: plan.mode,
      minSurvivors: site.minSurvivors,
      graph: this.#graph,
      holders: this.#secrets.holders,
      namesSharers: !this.complete || Boolean(plan.groups),
    };
  }

  #sign(step: Step, payload: unknown): SignedStep {
    const { crypto, session, self } = this.#options;
    const heading = { step, sender: self.name, recipient: COORDINATOR } as const;
    return sign(crypto, self.signingKey, session, heading, JSON.stringify(payload));
  }

  #answer(step: Step, request: unknown, answer: SignedStep | null): SignedStep | null {
    this.#answered.set(step, { request, answer });
    return answer;
  }

  #repeated(
    step: Step,
    request: unknown,
    changed: "SECAGG_ROSTER_CHANGED" | "SECAGG_SHARES_CHANGED" | "SECAGG_SURVIVORS_CHANGED",
  ): Answered | undefined {
    const before = this.#answered.get(step);
    if (before && before.request !== request && JSON.stringify(before.request) !== JSON.stringify(request)) {
      throw new CodedError(changed, `a second, different ${step} message came in one attempt`, {
        sid: this.session.sid,
        step,
      });
    }
    return before;
  }

  #after(before: Step, now: Step): void {
    if (this.#answered.has(before) && !this.#secrets.wiped) return;
    throw new CodedError("SECAGG_STEP", `${now} came before ${before} was done`, { step: now, expected: before });
  }
}
