/** The coordinator's side: clients that lie are named, and secrets that do not fit are never used. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { ClientRound } from "../../../client/secagg/client-round.ts";
import {
  admitAdvertisement,
  admitConsistency,
  admitMaskedInput,
  admitShareKeys,
  admitUnmask,
  type AdmittedUnmask,
} from "../../../coordinator/aggregate/admit.ts";
import type { AdmittedShares } from "../../../coordinator/aggregate/admitted-shares.ts";
import { announce, announcement } from "../../../coordinator/aggregate/announce.ts";
import { remainingMasks } from "../../../coordinator/aggregate/unmask.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import { newWords } from "../../../shared/secagg/mask.ts";
import type { Roster, ShareKeys } from "../../../shared/secagg/messages.ts";
import { consistencyDigest, openRoster, type Members } from "../../../shared/secagg/roster.ts";
import type { Session } from "../../../shared/secagg/session.ts";
import {
  COORDINATOR,
  EVERYONE,
  openSigned,
  sign,
  signedStep,
  statementOf,
  type SignedStep,
  type Step,
} from "../../../shared/secagg/signed.ts";
import { thresholds } from "../../../shared/secagg/thresholds.ts";
import { withVerificationCache } from "../../../shared/secagg/verification-cache.ts";
import {
  fakeFederation,
  fakeRound,
  fakeSession,
  NOW,
  SETTINGS,
  type FakeClient,
  type FakeFederation,
} from "../../fakes/secagg.ts";

const crypto = withVerificationCache(new NodeCrypto());
let fed: FakeFederation;
let session: Session;
const LIMITS = thresholds(5, "malicious");
let rounds: ClientRound[];
let roster: Roster;
let members: Members;

const client = (i: number) => fed.clients[i] as FakeClient;
const names = () => fed.clients.map(({ name }) => name);

beforeEach(async () => {
  fed = fakeFederation(5, crypto);
  session = fakeSession(fed);
  rounds = fed.clients.map((c) => fakeRound(fed, c, session));
  const messages = await Promise.all(rounds.map((r) => r.advertise()));
  roster = announcement.roster(messages.map((m) => admitAdvertisement(crypto, fed.trust, session, m, NOW)));
  members = openRoster(crypto, fed.trust, session, roster.entries, NOW);
});

function refusalOf(error: unknown): { code: ErrorCode; client: unknown } {
  const { code, details } = error as { code: ErrorCode; details: Record<string, unknown> };
  return { code, client: details["client"] };
}

function refusal(act: () => unknown): { code: ErrorCode; client: unknown } {
  try {
    act();
  } catch (error) {
    return refusalOf(error);
  }
  throw new Error("not refused");
}

async function laterRefusal(act: Promise<unknown>): Promise<{ code: ErrorCode; client: unknown }> {
  return act.then(() => Promise.reject(new Error("not refused")), refusalOf);
}

/** A message of client i with this payload, properly signed: clients may say what they like. */
function says(i: number, step: Step, payload: unknown): SignedStep {
  const heading = { step, sender: client(i).name, recipient: COORDINATOR } as const;
  return sign(crypto, client(i).signingKey, session, heading, JSON.stringify(payload));
}

/** The honest attempt up to where everyone revealed; site 5 is the dropout. */
async function revealed() {
  const messages = rounds.map((r) => r.shareKeys(roster));
  const shared = new Map<ClientName, AdmittedShares>(
    messages.map((m) => [m.sender as ClientName, admitShareKeys(crypto, session, members, m)]),
  );
  const inputs = [];
  for (const [i, round] of rounds.entries()) {
    const own = [...shared].filter(([from]) => from !== client(i).name).map(([, s]) => s.statementFor(client(i).name)!);
    round.acceptShares(announcement.shares(own));
    const message = await round.mask(newWords(32, SETTINGS.words));
    if (i < 4) inputs.push(admitMaskedInput(crypto, session, members, SETTINGS.words, message));
  }
  const list = announcement.survivors(
    inputs.map(({ statement }) => statement),
    names(),
  );
  const hashes = inputs.map((m) => ({ name: m.statement.sender, hash: m.hash as Sha256 }));
  const digest = consistencyDigest(crypto, session, members, names(), hashes);
  const confirmations = rounds.slice(0, 4).map((r) => r.confirmSurvivors(list));
  const signed = confirmations.map((m) => admitConsistency(crypto, session, members, digest, m));
  const unmasks = await Promise.all(rounds.slice(0, 4).map((r) => r.reveal(announcement.signatures(signed))));
  const survivors = list.survivors.map(({ sender }) => sender);
  return { shared, unmasks, list: { survivors, dropouts: list.dropouts }, digest, confirmations };
}

describe("what a client says", () => {
  test("for somebody else, or without being in the roster, is refused", async () => {
    const message = says(0, "masked-input", { hash: "0".repeat(64), words: SETTINGS.words });
    const stolen = { ...message, sender: client(1).name };
    const admit = (m: SignedStep) => () => admitMaskedInput(crypto, session, members, SETTINGS.words, m);
    expect(refusal(admit(stolen))).toEqual({ code: "SECAGG_SIGNATURE", client: "site-02" });
    const stranger = { ...message, sender: "site-99" as ClientName };
    expect(refusal(admit(stranger))).toEqual({ code: "SECAGG_ROSTER_UNKNOWN", client: "site-99" });
    expect(refusal(admit({ ...message, attempt: 4 })).code).toBe("SECAGG_SESSION");
    const short = says(0, "masked-input", { hash: "0".repeat(64), words: 3 });
    expect(refusal(admit(short))).toEqual({ code: "UPDATE_SHAPE", client: "site-01" });
    expect(refusal(admit(says(0, "masked-input", {}))).code).toBe("WIRE_INVALID");
  });

  test("with a key of low order stops it, not the others", async () => {
    const advertised = JSON.parse(roster.entries[2]!.payload);
    for (const key of ["boxKey", "maskKey"]) {
      const message = says(2, "advertise-keys", { ...advertised, [key]: toBase64(new Uint8Array(32)) });
      expect(refusal(() => admitAdvertisement(crypto, fed.trust, session, message, NOW))).toEqual({
        code: "SECAGG_KEY_WEAK",
        client: "site-03",
      });
    }
  });
});

describe("share keys", () => {
  test("one share for each of the roster, each signed, or none counts", () => {
    const message = rounds[0]!.shareKeys(roster);
    const { shares } = JSON.parse(message.payload) as ShareKeys;
    const admit = (changed: unknown) => () =>
      admitShareKeys(crypto, session, members, says(0, "share-keys", { shares: changed }));
    expect(admitShareKeys(crypto, session, members, message).holders).toEqual(names());
    for (const changed of [shares.slice(1), shares.toReversed(), [...shares, shares[0]]]) {
      expect(refusal(admit(changed))).toEqual({ code: "WIRE_INVALID", client: "site-01" });
    }
    const swapped = shares.with(1, { ...shares[1]!, payload: shares[2]!.payload });
    expect(refusal(admit(swapped))).toEqual({ code: "SECAGG_SIGNATURE", client: "site-01" });
    const heading = { step: "share", sender: client(0).name, recipient: client(1).name } as const;
    const { payload, signature } = sign(crypto, client(0).signingKey, session, heading, "c2hvcnQ");
    expect(refusal(admit(shares.with(1, { to: client(1).name, payload, signature })))).toEqual({
      code: "WIRE_INVALID",
      client: "site-01",
    });
  });
});

describe("the consistency check", () => {
  test("a signature under another list does not count", async () => {
    const { digest, confirmations } = await revealed();
    const other = says(1, "consistency", { digest: "0".repeat(64) });
    expect(refusal(() => admitConsistency(crypto, session, members, digest, other))).toEqual({
      code: "SECAGG_CONSISTENCY",
      client: "site-02",
    });
    expect(admitConsistency(crypto, session, members, digest, confirmations[1]!).sender).toBe("site-02");
  });
});

describe("unmasking", () => {
  test("a false share names its author", async () => {
    const { shared, unmasks, list } = await revealed();
    const admit = (m: SignedStep) => admitUnmask(crypto, session, members, list, shared, m);
    expect(admit(unmasks[1]!).selfMask).toHaveLength(4);
    const given = JSON.parse(unmasks[1]!.payload);
    for (const kind of ["selfMask", "maskKey"]) {
      const lied = structuredClone(given);
      lied[kind][0].share = toBase64(new Uint8Array(32));
      expect(refusal(() => admit(says(1, "unmask", lied)))).toEqual({ code: "SECAGG_SECRET_FALSE", client: "site-02" });
      const lacking = structuredClone(given);
      lacking[kind].shift();
      expect(refusal(() => admit(says(1, "unmask", lacking)))).toEqual({ code: "WIRE_INVALID", client: "site-02" });
    }
  });

  test("any t of the survivors suffice, fewer do not, and all ways give the same masks", async () => {
    const { shared, unmasks, list } = await revealed();
    const all = unmasks.map((m) => admitUnmask(crypto, session, members, list, shared, m));
    const masks = (from: AdmittedUnmask[]) =>
      remainingMasks(crypto, session, members, { limits: LIMITS, shared }, list, from);
    expect(await masks(all)).toHaveLength(4 + 4);
    expect(await masks(all.toReversed())).toEqual(await masks(all));
    expect((await laterRefusal(masks(all.slice(0, 3)))).code).toBe("SECAGG_SHARES_FEW");
  });

  test("an owner that committed to shares of another secret is named", async () => {
    const { shared, unmasks, list } = await revealed();
    const all = unmasks.map((m) => admitUnmask(crypto, session, members, list, shared, m));
    for (const [kind, owner] of [
      ["selfMask", "site-02"],
      ["maskKey", "site-05"],
    ] as const) {
      const wrong = all.map((each) => ({
        ...each,
        [kind]: each[kind].map((s) => (s.owner === owner ? { ...s, share: s.share.map((byte) => byte ^ 1) } : s)),
      }));
      expect(
        await laterRefusal(remainingMasks(crypto, session, members, { limits: LIMITS, shared }, list, wrong)),
      ).toEqual({
        code: "SECAGG_SECRET_FALSE",
        client: owner,
      });
    }
  });
});

describe("announcements", () => {
  test("are signed by the coordinator, sorted, and match the schema of a step", () => {
    const turned = announcement.roster(roster.entries.toReversed());
    expect(turned).toEqual(roster);
    const message = announce(crypto, fed.coordinator, session, "roster", turned);
    expect(signedStep.parse(message)).toEqual(message);
    const heading = { step: "roster", sender: COORDINATOR, recipient: EVERYONE } as const;
    expect(JSON.parse(openSigned(crypto, fed.coordinator.publicKey, session, heading, message))).toEqual(roster);
    expect(refusal(() => openSigned(crypto, client(0).signingKey.publicKey, session, heading, message)).code).toBe(
      "SECAGG_SIGNATURE",
    );
    expect(statementOf(says(0, "unmask", {})).sender).toBe("site-01");
  });
});
