/** What a client checks in the coordinator's messages before it goes on: minimums are checked, never believed. */
import { CodedError, isCoded, type ErrorCode } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { compareNames, toBase64 } from "../../shared/secagg/encoding.ts";
import {
  maskedInput,
  type AdvertiseKeys,
  type MaskedInput,
  type Roster,
  type Shares,
  type Survivors,
} from "../../shared/secagg/messages.ts";
import {
  consistencyDigest,
  openRoster,
  sharersDigest,
  type MaskedHash,
  type Members,
} from "../../shared/secagg/roster.ts";
import type { SharingGraph } from "../../shared/secagg/sharing-graph.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { rootOf } from "../../shared/secagg/share-tree.ts";
import { COORDINATOR, EVERYONE, parsePayload, verifyStatement, type Statement } from "../../shared/secagg/signed.ts";
import { LEAST_SURVIVORS, neededSurvivors, type SecureMode } from "../../shared/secagg/thresholds.ts";
import type { Reading } from "./reading.ts";

/** The roster: everyone certified, this client in it with its own keys, and neither too small nor too large. */
export function checkRoster(
  crypto: CryptoPort,
  trust: Trust,
  session: Session,
  roster: Roster,
  own: Omit<AdvertiseKeys, "certificate">,
  name: ClientName,
  limits: { minCohort: number; cohortMax: number; nowMs: number },
  reading: Reading,
): Members {
  const size = roster.entries.length;
  const least = Math.max(limits.minCohort, LEAST_SURVIVORS);
  if (size < least) {
    throw refusal("SECAGG_ROSTER_SMALL", `${size} clients, this site needs ${least}`, { size });
  }
  if (size > limits.cohortMax) {
    throw refusal("SECAGG_ROSTER_LARGE", `${size} clients, the plan allows ${limits.cohortMax}`, { size });
  }
  const members = reading.members(roster, () => openRoster(crypto, trust, session, roster.entries, limits.nowMs));
  const self = members.byName.get(name);
  const mine =
    self !== undefined &&
    toBase64(self.boxKey) === own.boxKey &&
    toBase64(self.maskKey) === own.maskKey &&
    toBase64(self.selfMask) === own.selfMask;
  if (!mine) throw refusal("SECAGG_ROSTER_SELF", "the roster does not show this site's own keys", { client: name });
  return members;
}

/** What a client checks shares and survivors by. */
export interface Needs {
  readonly mode: SecureMode;
  readonly minSurvivors: number;
  readonly graph: SharingGraph;
  /** Who holds shares of this client's secrets, itself included. */
  readonly holders: ReadonlySet<ClientName>;
  /**
   * Masked inputs name the sharers: where masks are made with some of them only, a client told of fewer could be left with
   * its self mask alone while the others reveal it.
   */
  readonly namesSharers: boolean;
}

/**
 * The forwarded shares: each signed by its author for this client, from enough members.
 * @returns everyone who shared keys, this client included, sorted
 */
export function checkShares(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  self: ClientName,
  needs: Needs,
  shares: Shares,
): ClientName[] {
  const authors = shares.shares.map(({ sender }) => sender);
  checkSorted("shares", authors);
  for (const share of shares.shares) {
    const member = members.byName.get(share.sender);
    if (!member || member.name === self) {
      throw refusal("SECAGG_ROSTER_UNKNOWN", `a share of ${share.sender}, who is not in the roster`, {
        client: share.sender,
      });
    }
    const recipient = needs.graph.complete ? self : EVERYONE;
    const heading = { step: "share", sender: share.sender, recipient } as const;
    const payload = needs.graph.complete ? share.payload : rootOf(crypto, share.sender, self, share.payload);
    verifyStatement(crypto, member.signingKey, session, heading, { payload, signature: share.signature });
  }
  const sharers = sharersOf(members, self, needs.graph, authors, shares.sharers);
  checkEnough("shared keys", sharers.length, neededSurvivors(members.list.length, needs.mode, needs.minSurvivors));
  checkHolders("shared keys", sharers, needs);
  return sharers;
}

/** On the complete graph everybody who shared keys did so with this client; on a sparse one the coordinator names them. */
function sharersOf(
  members: Members,
  self: ClientName,
  { complete }: SharingGraph,
  authors: readonly ClientName[],
  named: readonly ClientName[] | undefined,
): ClientName[] {
  if (complete !== (named === undefined)) {
    const field = "sharers";
    throw refusal("WIRE_INVALID", `shares: ${complete ? "no list" : "a list"} of sharers is expected`, { field });
  }
  if (named === undefined) return [...authors, self].toSorted(compareNames);
  checkSorted("sharers", named);
  const listed = new Set(named);
  const stranger = named.find((name) => !members.byName.has(name));
  const missing = [...authors, self].find((name) => !listed.has(name));
  const wrong = stranger ?? missing;
  if (wrong !== undefined) {
    const message = `${wrong} is not both in the roster and among those said to have shared keys`;
    throw refusal("SECAGG_ROSTER_UNKNOWN", message, { client: wrong });
  }
  return [...named];
}

/** On a sparse graph this client's own holders count: without t of them it is neither protected nor can be unmasked. */
function checkHolders(what: string, names: readonly ClientName[], { graph, holders }: Needs): void {
  const got = names.filter((name) => holders.has(name)).length;
  const expected = graph.limits.selfMask;
  if (graph.complete || got >= expected) return;
  const message = `${got} of this site's ${holders.size} holders ${what}, needed ${expected}`;
  throw refusal("SECAGG_HOLDERS_FEW", message, { got, expected });
}

/** What a survivor list means to this client once it is checked. */
export interface SurvivorView {
  readonly survivors: readonly ClientName[];
  readonly dropouts: readonly ClientName[];
  readonly digest: Sha256;
}

/** The survivor list: a partition of those who shared keys, with everyone's signed masked input. */
export function checkSurvivors(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  sharers: readonly ClientName[],
  self: MaskedHash,
  needs: Needs & { readonly words: number },
  list: Survivors,
  reading: Reading,
): SurvivorView {
  const survivors = list.survivors.map(({ sender }) => sender);
  const { dropouts } = list;
  checkSorted("survivors", survivors);
  checkSorted("dropouts", dropouts);
  const gone = new Set(dropouts);
  const both = survivors.find((name) => gone.has(name));
  if (both !== undefined) {
    throw refusal("SECAGG_BOTH_SECRETS", `${both} is listed as survivor and as dropout`, { client: both });
  }
  const listed = new Set([...survivors, ...dropouts]);
  const known = new Set(sharers);
  const stranger = [...listed].find((name) => !known.has(name)) ?? sharers.find((name) => !listed.has(name));
  if (stranger !== undefined) {
    throw refusal("SECAGG_SURVIVORS_UNKNOWN", `${stranger} is not both in the list and among those who shared keys`, {
      client: stranger,
    });
  }
  checkEnough("survive", survivors.length, neededSurvivors(members.list.length, needs.mode, needs.minSurvivors));
  checkHolders("survive", survivors, needs);
  const seen = needs.namesSharers ? sharersDigest(crypto, session, members, sharers) : undefined;
  const hashes = reading.hashes(list, `${session.sid} ${needs.words} ${seen}`, () =>
    list.survivors.map((entry) => checkMaskedInput(crypto, session, members, needs.words, seen, entry)),
  );
  if (hashes.find(({ name }) => name === self.name)?.hash !== self.hash) {
    throw refusal("SECAGG_SURVIVORS_SELF", "the survivor list does not show this site's own masked input", {
      client: self.name,
    });
  }
  return { survivors, dropouts, digest: consistencyDigest(crypto, session, members, sharers, hashes) };
}

function checkMaskedInput(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  words: number,
  sharers: Sha256 | undefined,
  entry: Statement,
): MaskedHash {
  const heading = { step: "masked-input", sender: entry.sender, recipient: COORDINATOR } as const;
  const input = validInput(crypto, session, members, heading, entry);
  if (input?.words !== words) {
    throw refusal("SECAGG_SURVIVORS_HASH", `no valid signed masked-input hash of ${entry.sender}`, {
      client: entry.sender,
    });
  }
  if (input.sharers !== sharers) {
    throw refusal("SECAGG_SHARERS", `${entry.sender} made its masks with others than this site was told of`, {
      client: entry.sender,
    });
  }
  return { name: entry.sender, hash: input.hash };
}

function validInput(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  heading: { readonly step: "masked-input"; readonly sender: ClientName; readonly recipient: typeof COORDINATOR },
  entry: Statement,
): MaskedInput | null {
  try {
    const { signingKey } = members.byName.get(entry.sender) as { signingKey: Uint8Array };
    verifyStatement(crypto, signingKey, session, heading, entry);
    return parsePayload(maskedInput, heading, entry.payload);
  } catch (error) {
    if (!isCoded(error)) throw error;
    return null;
  }
}

function checkEnough(what: string, got: number, expected: number): void {
  if (got < expected)
    throw refusal("SECAGG_SURVIVORS_FEW", `${got} clients ${what}, needed ${expected}`, { got, expected });
}

function checkSorted(field: string, names: readonly ClientName[]): void {
  const wrong = names.find((name, i) => i > 0 && compareNames(names[i - 1] as string, name) >= 0);
  if (wrong !== undefined) {
    throw refusal("WIRE_INVALID", `${field}: expected names in order, each once, got ${wrong}`, { field, got: wrong });
  }
}

function refusal(code: ErrorCode, message: string, details: Record<string, unknown>): CodedError {
  return new CodedError(code, message, details);
}
