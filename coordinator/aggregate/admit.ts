/**
 * The coordinator's check of each client's step, before anything of it is written: envelope, signature, schema, and
 * what can be seen of its truth. Every error names the client in `details.client`. All pure; each returns what
 * the round needs to keep.
 */
import { CodedError } from "../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Trust } from "../../shared/secagg/certificate.ts";
import type { CryptoPort } from "../../shared/secagg/crypto-port.ts";
import { compareNames, equalBytes, fromBase64 } from "../../shared/secagg/encoding.ts";
import {
  accusation,
  maskedInput,
  shareKeys,
  unmask,
  type Accusation,
  type MaskedInput,
} from "../../shared/secagg/messages.ts";
import { consistencyPayload, verifyAdvertisement, type Members } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { commitToShare, shareBytes, type SecretKind } from "../../shared/secagg/share-box.ts";
import { ShareTree } from "../../shared/secagg/share-tree.ts";
import {
  COORDINATOR,
  EVERYONE,
  openSigned,
  parsePayload,
  statementOf,
  verifyStatement,
  type SignedStep,
  type Statement,
  type Step,
} from "../../shared/secagg/signed.ts";
import { AdmittedShares } from "./admitted-shares.ts";

/** Step 1. Also refuses keys of low order (SECAGG_KEY_WEAK), which would stop every other client. */
export function admitAdvertisement(
  crypto: CryptoPort,
  trust: Trust,
  session: Session,
  message: SignedStep,
  nowMs: number,
): Statement {
  const given = statementOf(message);
  const { advertised, signingKey } = verifyAdvertisement(crypto, trust, session, given, nowMs);
  openSigned(crypto, signingKey, session, heading("advertise-keys", given.sender), message);
  const probe = crypto.agreementKey(new Uint8Array(32).fill(1));
  for (const key of [advertised.boxKey, advertised.maskKey]) {
    if (probe.agree(fromBase64(key) as Uint8Array) === null) {
      throw new CodedError("SECAGG_KEY_WEAK", `a key of ${given.sender} is of low order`, { client: given.sender });
    }
  }
  return given;
}

/**
 * Step 2: one signed share for every holder, in roster order.
 * @param neighbours how many others a client shares with; it picks them itself where that is not everybody
 */
export function admitShareKeys(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  message: SignedStep,
  neighbours = members.list.length - 1,
): AdmittedShares {
  const { member, payload } = open(crypto, session, members, "share-keys", message);
  const { shares, signature: one } = parsePayload(shareKeys, heading("share-keys", member.name), payload);
  const complete = neighbours === members.list.length - 1;
  const fail = (what: string, details: Record<string, unknown>): CodedError =>
    new CodedError("WIRE_INVALID", `share-keys from ${member.name}: ${what}`, { client: member.name, ...details });
  if (shares.length !== neighbours + 1) {
    const what = `expected shares for ${neighbours + 1} holders, got ${shares.length}`;
    throw fail(what, { field: "shares", expected: neighbours + 1, got: shares.length });
  }
  if (complete !== (one === undefined) || shares.some((share) => complete !== (share.signature !== undefined))) {
    throw fail(`expected ${complete ? "a signature under each share" : "one signature under all"}`, {
      field: "signature",
    });
  }
  const tree = complete ? null : new ShareTree(crypto, shares);
  if (tree !== null && one !== undefined) {
    const all = { step: "share", sender: member.name, recipient: EVERYONE } as const;
    verifyStatement(crypto, member.signingKey, session, all, { payload: tree.root, signature: one });
  }
  const payloads: Uint8Array[] = [];
  const holders: ClientName[] = [];
  for (const [i, { to, payload: text, signature = "" }] of shares.entries()) {
    const holder = members.byName.get(to)?.name;
    if (holder === undefined || compareNames(shares[i - 1]?.to ?? "", to) >= 0) {
      const what = "expected each share for another one of the roster, in order";
      throw fail(what, { field: `shares.${i}.to`, got: to });
    }
    if (tree === null) {
      const route = { step: "share", sender: member.name, recipient: to } as const;
      verifyStatement(crypto, member.signingKey, session, route, { payload: text, signature });
    }
    payloads.push(shareBytes(member.name, to, text));
    holders.push(holder);
  }
  if (!holders.includes(member.name)) throw fail("it holds no share of its own", { field: "shares" });
  const signed = tree === null ? shares.map(({ signature = "" }) => signature) : { tree, signature: one ?? "" };
  return new AdmittedShares({ owner: member.name, holders, payloads, signed });
}

/** Whose signatures count: the roster or, when aggregation is not secure, the invited clients. */
export interface Signers {
  readonly byName: ReadonlyMap<string, { readonly name: ClientName; readonly signingKey: Uint8Array }>;
}

/**
 * Step 3: the signed hash of the bytes that are uploaded: a masked vector, or one sealed to a trusted coordinator.
 * The bytes themselves are checked against it.
 */
export function admitMaskedInput(
  crypto: CryptoPort,
  session: Session,
  members: Signers,
  words: number,
  message: SignedStep,
): MaskedInput & { statement: Statement } {
  const { member, payload } = open(crypto, session, members, "masked-input", message);
  const input = parsePayload(maskedInput, heading("masked-input", member.name), payload);
  if (input.words !== words) {
    throw new CodedError("UPDATE_SHAPE", `${member.name} sends ${input.words} words, expected ${words}`, {
      client: member.name,
      expected: words,
      got: input.words,
    });
  }
  return { ...input, statement: statementOf(message) };
}

/** Step 4: a survivor's signature under the one survivor list. SECAGG_CONSISTENCY when it saw another. */
export function admitConsistency(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  digest: Sha256,
  message: SignedStep,
): { sender: ClientName; signature: string } {
  const { member, payload } = open(crypto, session, members, "consistency", message);
  if (payload !== consistencyPayload(digest)) {
    throw new CodedError("SECAGG_CONSISTENCY", `${member.name} saw another survivor list`, { client: member.name });
  }
  return { sender: member.name, signature: message.signature };
}

/** One revealed share that agrees with its owner's commitment. */
export interface RevealedShare {
  readonly owner: ClientName;
  readonly holder: ClientName;
  readonly share: Uint8Array;
}

/** What a survivor revealed, checked. */
export interface AdmittedUnmask {
  readonly selfMask: readonly RevealedShare[];
  readonly maskKey: readonly RevealedShare[];
}

/**
 * Step 5: exactly the shares asked for, as far as this client holds them, each as its owner committed to it.
 * SECAGG_SECRET_FALSE names the holder who changed one.
 * @param shared what each sharer's share-keys step was admitted as
 */
export function admitUnmask(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  list: { readonly survivors: readonly ClientName[]; readonly dropouts: readonly ClientName[] },
  shared: ReadonlyMap<ClientName, AdmittedShares>,
  message: SignedStep,
): AdmittedUnmask {
  const { member, payload } = open(crypto, session, members, "unmask", message);
  const given = parsePayload(unmask, heading("unmask", member.name), payload);
  const check = (kind: SecretKind, among: readonly ClientName[], revealed: (typeof given)["selfMask"]) => {
    const owners = among.filter((owner) => shared.get(owner)?.isHeldBy(member.name));
    if (revealed.length !== owners.length || revealed.some(({ owner }, i) => owner !== owners[i])) {
      throw new CodedError("WIRE_INVALID", `unmask from ${member.name}: not the shares that were asked for`, {
        client: member.name,
        field: kind,
      });
    }
    return revealed.map(({ owner, share: text }) => {
      const share = fromBase64(text) as Uint8Array;
      const holder = member.name;
      const commitments = shared.get(owner)?.commitmentsFor(holder);
      const committed = kind === "self-mask" ? commitments?.selfMask : commitments?.maskKey;
      if (!committed || !equalBytes(commitToShare(crypto, session.sid, kind, owner, holder, share), committed)) {
        throw new CodedError("SECAGG_SECRET_FALSE", `${holder} reveals a false share of ${owner}`, {
          client: holder,
          owner,
        });
      }
      return { owner, holder, share };
    });
  };
  return {
    selfMask: check("self-mask", list.survivors, given.selfMask),
    maskKey: check("mask-key", list.dropouts, given.maskKey),
  };
}

/** A client that leaves the attempt accuses other members: whom, with the statement to be kept. */
export function admitAccusation(
  crypto: CryptoPort,
  session: Session,
  members: Members,
  client: ClientName,
  given: { readonly payload: string; readonly signature: string },
): Accusation & { signed: Statement } {
  const member = members.byName.get(client);
  const named = { client, step: "accuse" };
  if (!member) throw new CodedError("SECAGG_ROSTER_UNKNOWN", `${client}, who accuses, is not in the roster`, named);
  verifyStatement(crypto, member.signingKey, session, heading("accuse", client), given);
  const said = parsePayload(accusation, heading("accuse", client), given.payload);
  if (said.about.some((name) => name === client || !members.byName.has(name))) {
    throw new CodedError("SECAGG_ROSTER_UNKNOWN", `${client} accuses itself or someone outside the roster`, named);
  }
  return { ...said, signed: { sender: client, payload: given.payload, signature: given.signature } };
}

function heading(step: Step, sender: ClientName) {
  return { step, sender, recipient: COORDINATOR } as const;
}

function open(
  crypto: CryptoPort,
  session: Session,
  members: Signers,
  step: Step,
  message: SignedStep,
): { member: { readonly name: ClientName; readonly signingKey: Uint8Array }; payload: string } {
  const member = members.byName.get(message.sender);
  if (!member) {
    throw new CodedError("SECAGG_ROSTER_UNKNOWN", `${step} from ${message.sender}, who is not in the roster`, {
      client: message.sender,
    });
  }
  return { member, payload: openSigned(crypto, member.signingKey, session, heading(step, member.name), message) };
}
