/** What a client checks in the coordinator's messages before it goes on: minimums are checked, never believed. */
import { CodedError, isCoded, type ErrorCode } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { compareNames, toBase64 } from "../../shared/secagg/encoding.ts";
import {
  maskedInput,
  type AdvertiseKeys,
  type Roster,
  type Shares,
  type Survivors,
} from "../../shared/secagg/messages.ts";
import { consistencyDigest, openRoster, type MaskedHash, type Members } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { COORDINATOR, parsePayload, verifyStatement, type Statement } from "../../shared/secagg/signed.ts";
import { LEAST_SURVIVORS, neededSurvivors, type SecureMode } from "../../shared/secagg/thresholds.ts";

/** The roster: everyone certified, this client in it with its own keys, and neither too small nor too large. */
export function checkRoster(
  crypto: CryptoPort,
  trust: Trust,
  session: Session,
  roster: Roster,
  own: Omit<AdvertiseKeys, "certificate">,
  name: ClientName,
  limits: { minCohort: number; cohortMax: number; nowMs: number },
): Members {
  const size = roster.entries.length;
  const least = Math.max(limits.minCohort, LEAST_SURVIVORS);
  if (size < least) {
    throw refusal("SECAGG_ROSTER_SMALL", `${size} clients, this site needs ${least}`, { size });
  }
  if (size > limits.cohortMax) {
    throw refusal("SECAGG_ROSTER_LARGE", `${size} clients, the plan allows ${limits.cohortMax}`, { size });
  }
  const members = openRoster(crypto, trust, session, roster.entries, limits.nowMs);
  const self = members.byName.get(name);
  const mine =
    self !== undefined &&
    toBase64(self.boxKey) === own.boxKey &&
    toBase64(self.maskKey) === own.maskKey &&
    toBase64(self.selfMask) === own.selfMask;
  if (!mine) throw refusal("SECAGG_ROSTER_SELF", "the roster does not show this site's own keys", { client: name });
  return members;
}

/** The forwarded shares: each signed by its author for this client, from enough members. */
export function checkShares(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  self: ClientName,
  mode: SecureMode,
  minSurvivors: number,
  shares: Shares,
): void {
  checkSorted(
    "shares",
    shares.shares.map(({ sender }) => sender),
  );
  for (const share of shares.shares) {
    const member = members.byName.get(share.sender);
    if (!member || member.name === self) {
      throw refusal("SECAGG_ROSTER_UNKNOWN", `a share of ${share.sender}, who is not in the roster`, {
        client: share.sender,
      });
    }
    const heading = { step: "share", sender: share.sender, recipient: self } as const;
    verifyStatement(crypto, member.signingKey, session, heading, share);
  }
  const needed = neededSurvivors(members.list.length, mode, minSurvivors);
  checkEnough("shared keys", shares.shares.length + 1, needed);
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
  plan: { mode: SecureMode; minSurvivors: number; words: number },
  list: Survivors,
): SurvivorView {
  const survivors = list.survivors.map(({ sender }) => sender);
  const { dropouts } = list;
  checkSorted("survivors", survivors);
  checkSorted("dropouts", dropouts);
  const both = survivors.find((name) => dropouts.includes(name));
  if (both !== undefined) {
    throw refusal("SECAGG_BOTH_SECRETS", `${both} is listed as survivor and as dropout`, { client: both });
  }
  const listed = new Set([...survivors, ...dropouts]);
  const stranger = [...listed].find((name) => !sharers.includes(name)) ?? sharers.find((name) => !listed.has(name));
  if (stranger !== undefined) {
    throw refusal("SECAGG_SURVIVORS_UNKNOWN", `${stranger} is not both in the list and among those who shared keys`, {
      client: stranger,
    });
  }
  checkEnough("survive", survivors.length, neededSurvivors(members.list.length, plan.mode, plan.minSurvivors));
  const hashes = list.survivors.map((entry) => checkMaskedInput(crypto, session, members, plan.words, entry));
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
  entry: Statement,
): MaskedHash {
  const heading = { step: "masked-input", sender: entry.sender, recipient: COORDINATOR } as const;
  try {
    const { signingKey } = members.byName.get(entry.sender) as { signingKey: Uint8Array };
    verifyStatement(crypto, signingKey, session, heading, entry);
    const input = parsePayload(maskedInput, heading, entry.payload);
    if (input.words === words) return { name: entry.sender, hash: input.hash };
  } catch (error) {
    if (!isCoded(error)) throw error;
  }
  throw refusal("SECAGG_SURVIVORS_HASH", `no valid signed masked-input hash of ${entry.sender}`, {
    client: entry.sender,
  });
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
