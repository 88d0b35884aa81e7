/** A malicious coordinator, without the authority's key, tries to make a client reveal more than one sum. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { ClientRound } from "../../../client/secagg/client-round.ts";
import { announcement } from "../../../coordinator/aggregate/announce.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";
import { issueCertificate } from "../../../shared/secagg/certificate.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import { groupsOf } from "../../../shared/secagg/groups.ts";
import { inlineMasker, newWords, type Masker } from "../../../shared/secagg/mask.ts";
import type { Roster, ShareKeys, Shares, Signatures, Survivors } from "../../../shared/secagg/messages.ts";
import type { Session } from "../../../shared/secagg/session.ts";
import { COORDINATOR, sign, statementOf, type SignedStep } from "../../../shared/secagg/signed.ts";
import { withVerificationCache } from "../../../shared/secagg/verification-cache.ts";
import {
  fakeFederation,
  fakeRound,
  fakeSession,
  GRAPH,
  NOW,
  SETTINGS,
  type FakeClient,
  type FakeFederation,
} from "../../fakes/secagg.ts";

const crypto = withVerificationCache(new NodeCrypto());
const SIZE = 6;
let fed: FakeFederation;
let session: Session;
let rounds: ClientRound[];

beforeEach(() => {
  fed = fakeFederation(SIZE, crypto);
  session = fakeSession(fed);
  rounds = fed.clients.map((client) => fakeRound(fed, client, session));
});

const victim = () => rounds[0] as ClientRound;
const client = (i: number) => fed.clients[i] as FakeClient;

async function advertised(who = rounds): Promise<Roster> {
  return announcement.roster((await Promise.all(who.map((r) => r.advertise()))).map(statementOf));
}

function sharesFor(messages: readonly SignedStep[], name: ClientName): Shares {
  const addressed = messages
    .filter(({ sender }) => sender !== name)
    .map(({ sender, payload }) => {
      const own = (JSON.parse(payload) as ShareKeys).shares.find(({ to }) => to === name);
      return { sender: sender as ClientName, payload: own?.payload as string, signature: own?.signature as string };
    });
  return announcement.shares(addressed);
}

/** Everyone has masked; the list is the honest one. */
async function masked(who = rounds): Promise<Survivors> {
  const roster = await advertised(who);
  const messages = who.map((r) => r.shareKeys(roster));
  const inputs: SignedStep[] = [];
  for (const [i, round] of who.entries()) {
    round.acceptShares(sharesFor(messages, messages[i]?.sender as ClientName));
    inputs.push(await round.mask(newWords(32, SETTINGS.words)));
  }
  return announcement.survivors(
    inputs.map(statementOf),
    messages.map(({ sender }) => sender as ClientName),
  );
}

function without(list: Survivors, ...gone: number[]): Survivors {
  const names = gone.map((i) => client(i).name);
  return {
    survivors: list.survivors.filter(({ sender }) => !names.includes(sender)),
    dropouts: [...list.dropouts, ...names].toSorted(),
  };
}

async function confirmed(list: Survivors, who = rounds): Promise<Signatures> {
  const signed = who.map((r) => r.confirmSurvivors(list));
  return announcement.signatures(signed.map(({ sender, signature }) => ({ sender: sender as ClientName, signature })));
}

async function refusal(act: () => unknown): Promise<{ code: ErrorCode; client: unknown }> {
  try {
    await act();
  } catch (error) {
    const { code, details } = error as { code: ErrorCode; details: Record<string, unknown> };
    return { code, client: details?.["client"] };
  }
  throw new Error("not refused");
}

const refuses = async (code: ErrorCode, act: () => unknown, who?: string) =>
  expect(await refusal(act)).toEqual({ code, client: who });

test("what a site's masks are made of is overwritten once they are on", async () => {
  const keys: Uint8Array[] = [];
  const masker: Masker = (words, masks) => {
    keys.push(...masks.map(({ key }) => key));
    expect(keys.every((key) => key.some((byte) => byte !== 0))).toBe(true);
    return inlineMasker(crypto)(words, masks);
  };
  rounds[0] = fakeRound(fed, client(0), session, SETTINGS, { masker });
  await masked();
  expect(keys).toHaveLength(SIZE);
  expect(keys.every((key) => key.every((byte) => byte === 0))).toBe(true);
});

describe("a false roster", () => {
  test("a cohort of puppets without certificates of the authority", async () => {
    const roster = await advertised();
    const forger = crypto.signingKey(new Uint8Array(32).fill(66));
    const signingKey = crypto.signingKey(new Uint8Array(32).fill(67));
    const { signature: _, ...fields } = client(1).certificate;
    const certificate = issueCertificate(forger, { ...fields, key: toBase64(signingKey.publicKey) });
    const puppet = fakeRound(
      fed,
      { ...client(1), signingKey, certificate, log: fakeFederation(2, crypto).clients[1]!.log },
      session,
    );
    const entries = roster.entries.with(1, statementOf(await puppet.advertise()));
    await refuses("CERTIFICATE_INVALID", () => victim().shareKeys({ entries }), "site-02");
  });

  test("a puppet under another client's certificate", async () => {
    const roster = await advertised();
    const entry = roster.entries[2]!;
    const entries = roster.entries.with(2, { ...entry, sender: "site-03a" as ClientName });
    await refuses("CERTIFICATE_INVALID", () => victim().shareKeys({ entries }), "site-03a");
  });

  test("expired and revoked members", async () => {
    const roster = await advertised();
    const late = fakeRound(fed, { ...client(0), log: fakeFederation(1, crypto).clients[0]!.log }, session, SETTINGS, {
      clock: () => NOW + 1e9,
    });
    await late.advertise();
    await refuses("CERTIFICATE_EXPIRED", () => late.shareKeys(roster), "site-01");
    const trust = { ...fed.trust, revoked: new Set([client(3).certificate.serial]) };
    const warned = fakeRound(fed, { ...client(0), log: fakeFederation(1, crypto).clients[0]!.log }, session, SETTINGS, {
      trust,
    });
    await warned.advertise();
    await refuses("CERTIFICATE_REVOKED", () => warned.shareKeys(roster), "site-04");
  });

  test("the victim is missing, or its keys are changed", async () => {
    const roster = await advertised();
    await refuses("SECAGG_ROSTER_SELF", () => victim().shareKeys({ entries: roster.entries.slice(1) }), "site-01");
    const twin = fakeRound(fed, { ...client(0), log: fakeFederation(1, crypto).clients[0]!.log }, session, SETTINGS, {
      random: (await import("../../fakes/secagg.ts")).fixedSecureRng(crypto, "twin"),
    });
    const entries = roster.entries.with(0, statementOf(await twin.advertise()));
    await refuses("SECAGG_ROSTER_SELF", () => victim().shareKeys({ entries }), "site-01");
  });

  test("smaller than the site's minimum, larger than the plan", async () => {
    const roster = await advertised();
    await refuses("SECAGG_ROSTER_SMALL", () => victim().shareKeys({ entries: roster.entries.slice(0, 2) }));
    const fresh = { ...client(0), log: fakeFederation(1, crypto).clients[0]!.log };
    const strict = fakeRound(fed, fresh, session, SETTINGS, {
      site: { minCohort: 7, minSurvivors: 3, allowVoid: false },
    });
    await strict.advertise();
    await refuses("SECAGG_ROSTER_SMALL", () => strict.shareKeys(roster));
    const plan = { mode: "malicious", cohortMax: 5, graph: GRAPH, words: 1, wordBits: 32 } as const;
    const narrow = fakeRound(fed, { ...fresh, log: fakeFederation(1, crypto).clients[0]!.log }, session, SETTINGS, {
      plan,
    });
    await narrow.advertise();
    await refuses("SECAGG_ROSTER_LARGE", () => narrow.shareKeys(roster));
  });

  test("one client twice, or out of order", async () => {
    const roster = await advertised();
    const twice = [roster.entries[0]!, ...roster.entries];
    await refuses("SECAGG_ROSTER_DUPLICATE", () => victim().shareKeys({ entries: twice }), "site-01");
    const turned = roster.entries.toReversed();
    await refuses("SECAGG_ROSTER_DUPLICATE", () => victim().shareKeys({ entries: turned }), "site-05");
  });

  test("two members with one key", async () => {
    const roster = await advertised();
    const entry = roster.entries[1]!;
    const copied = JSON.parse(entry.payload);
    copied.maskKey = JSON.parse(roster.entries[2]!.payload).maskKey;
    const heading = { step: "advertise-keys", sender: entry.sender, recipient: COORDINATOR } as const;
    const signed = sign(crypto, client(1).signingKey, session, heading, JSON.stringify(copied));
    const entries = roster.entries.with(1, statementOf(signed));
    await refuses("SECAGG_ROSTER_DUPLICATE", () => victim().shareKeys({ entries }), "site-03");
  });

  test("a key of low order", async () => {
    const roster = await advertised();
    const entry = roster.entries[1]!;
    const weak = { ...JSON.parse(entry.payload), maskKey: toBase64(new Uint8Array(32)) };
    const heading = { step: "advertise-keys", sender: entry.sender, recipient: COORDINATOR } as const;
    const signed = sign(crypto, client(1).signingKey, session, heading, JSON.stringify(weak));
    const entries = roster.entries.with(1, statementOf(signed));
    await refuses("SECAGG_KEY_WEAK", () => victim().shareKeys({ entries }), "site-02");
  });

  test("keys replayed from an earlier attempt", async () => {
    const roster = await advertised();
    const next = fakeSession(fed, { attempt: 1 });
    const again = fed.clients.map((c) => fakeRound(fed, c, next));
    const fresh = await advertised(again);
    const entries = fresh.entries.with(4, roster.entries[4]!);
    await refuses("SECAGG_SIGNATURE", () => again[0]!.shareKeys({ entries }), "site-05");
  });

  test("a second roster", async () => {
    const roster = await advertised();
    const first = victim().shareKeys(roster);
    expect(victim().shareKeys(roster)).toEqual(first);
    await refuses("SECAGG_ROSTER_CHANGED", () => victim().shareKeys({ entries: roster.entries.slice(0, 5) }));
  });
});

describe("replayed attempts", () => {
  test("an attempt the site took part in, or an earlier one", async () => {
    await victim().advertise();
    expect((await victim().advertise()).step).toBe("advertise-keys");
    await refuses("SECAGG_ATTEMPT_REPLAYED", () => fakeRound(fed, client(0), session).advertise());
    const later = fakeRound(fed, client(0), fakeSession(fed, { round: 2 }));
    await later.advertise();
    await refuses("SECAGG_ATTEMPT_REPLAYED", () =>
      fakeRound(fed, client(0), fakeSession(fed, { attempt: 9 })).advertise(),
    );
    const scoring = fakeRound(fed, client(0), fakeSession(fed, { purpose: "evaluation" }));
    expect((await scoring.advertise()).purpose).toBe("evaluation");
  });
});

describe("false shares", () => {
  let messages: SignedStep[];
  let honest: Shares;
  beforeEach(async () => {
    const roster = await advertised();
    messages = rounds.map((r) => r.shareKeys(roster));
    honest = sharesFor(messages, "site-01" as ClientName);
  });

  test("changed on the way", async () => {
    const { shares } = honest;
    const payload = `${shares[1]!.payload.slice(0, -1)}${shares[1]!.payload.endsWith("A") ? "E" : "A"}`;
    await refuses(
      "SECAGG_SIGNATURE",
      () => victim().acceptShares({ shares: shares.with(1, { ...shares[1]!, payload }) }),
      "site-03",
    );
  });

  test("made for somebody else", async () => {
    const others = sharesFor(messages, "site-02" as ClientName).shares.find(({ sender }) => sender === "site-03")!;
    await refuses(
      "SECAGG_SIGNATURE",
      () => victim().acceptShares({ shares: honest.shares.with(1, others) }),
      "site-03",
    );
  });

  test.each([
    ["a box that does not open", 30],
    ["a commitment to another share", 140],
    ["a commitment to another key share", 190],
  ])("signed by their author: %s", async (_what, at) => {
    const bytes = Buffer.from(honest.shares[2]!.payload, "base64url");
    bytes[at] = (bytes[at] as number) ^ 1;
    const heading = { step: "share", sender: client(3).name, recipient: client(0).name } as const;
    const lie = statementOf(sign(crypto, client(3).signingKey, session, heading, bytes.toString("base64url")));
    await refuses("SECAGG_SHARE_FALSE", () => victim().acceptShares({ shares: honest.shares.with(2, lie) }), "site-04");
    expect(victim().acceptShares(honest)).toBeUndefined();
  });

  test("too few, doubled, of strangers, of the victim itself", async () => {
    const { shares } = honest;
    await refuses("SECAGG_SURVIVORS_FEW", () => victim().acceptShares({ shares: shares.slice(0, 3) }));
    await refuses("WIRE_INVALID", () => victim().acceptShares({ shares: [shares[0]!, ...shares] }));
    const stranger = { ...shares[4]!, sender: "site-99" as ClientName };
    await refuses(
      "SECAGG_ROSTER_UNKNOWN",
      () => victim().acceptShares({ shares: shares.with(4, stranger) }),
      "site-99",
    );
    const own = { ...shares[0]!, sender: "site-01" as ClientName };
    await refuses("SECAGG_ROSTER_UNKNOWN", () => victim().acceptShares({ shares: [own, ...shares] }), "site-01");
  });

  test("a second set", async () => {
    victim().acceptShares(honest);
    victim().acceptShares(honest);
    await refuses("SECAGG_SHARES_CHANGED", () => victim().acceptShares({ shares: honest.shares.slice(1) }));
  });

  test("the same masks for a second vector", async () => {
    victim().acceptShares(honest);
    await refuses("UPDATE_SHAPE", () => victim().mask(newWords(32, 5)));
    await refuses("UPDATE_SHAPE", () => victim().mask(newWords(16, SETTINGS.words)));
    await victim().mask(newWords(32, SETTINGS.words));
    await refuses("SECAGG_MASK_TWICE", () => victim().mask(newWords(32, SETTINGS.words)));
  });
});

describe("false survivor lists", () => {
  test("two lists", async () => {
    const list = await masked();
    const first = victim().confirmSurvivors(without(list, 5));
    expect(victim().confirmSurvivors(without(list, 5))).toEqual(first);
    await refuses("SECAGG_SURVIVORS_CHANGED", () => victim().confirmSurvivors(without(list, 4)));
    await refuses("SECAGG_SURVIVORS_CHANGED", () => victim().confirmSurvivors(list));
  });

  test("two lists for two halves find no threshold of signatures", async () => {
    const list = await masked();
    const half = rounds.slice(0, 3);
    const one = await confirmed(list, half);
    await confirmed(without(list, 0), rounds.slice(3));
    await refuses("SECAGG_SIGNATURES_FEW", () => victim().reveal(one));
  });

  test("both secrets of one client", async () => {
    const list = await masked();
    const both = { ...list, dropouts: [client(4).name] };
    await refuses("SECAGG_BOTH_SECRETS", () => victim().confirmSurvivors(both), "site-05");
  });

  test("below the threshold, below the site's minimum", async () => {
    const list = await masked();
    await refuses("SECAGG_SURVIVORS_FEW", () => victim().confirmSurvivors(without(list, 3, 4)));
    fed = fakeFederation(SIZE, crypto);
    rounds = fed.clients.map((c) => fakeRound(fed, c, session, { ...SETTINGS, minSurvivors: 6 }));
    const again = await masked();
    await refuses("SECAGG_SURVIVORS_FEW", () => victim().confirmSurvivors(without(again, 5)));
  });

  test("a client that did not share keys; one that did is left out; doubled", async () => {
    const list = await masked();
    const stranger = { ...list, dropouts: ["site-99" as ClientName] };
    await refuses("SECAGG_SURVIVORS_UNKNOWN", () => victim().confirmSurvivors(stranger), "site-99");
    const lacking = { ...list, survivors: list.survivors.slice(0, 5) };
    await refuses("SECAGG_SURVIVORS_UNKNOWN", () => victim().confirmSurvivors(lacking), "site-06");
    const doubled = { ...list, survivors: [list.survivors[0]!, ...list.survivors] };
    await refuses("WIRE_INVALID", () => victim().confirmSurvivors(doubled));
  });

  test("survivors without their own signed masked-input hash", async () => {
    const list = await masked();
    const entry = list.survivors[3]!;
    const lies = [
      { ...entry, signature: list.survivors[2]!.signature },
      { ...entry, payload: JSON.stringify({ hash: "0".repeat(64), words: SETTINGS.words }) },
    ];
    const heading = { step: "masked-input", sender: entry.sender, recipient: COORDINATOR } as const;
    for (const payload of [JSON.stringify({ hash: "0".repeat(64), words: 1 }), "{}", "not JSON"]) {
      lies.push(statementOf(sign(crypto, client(3).signingKey, session, heading, payload)));
    }
    for (const lie of lies) {
      const survivors = list.survivors.with(3, lie);
      await refuses("SECAGG_SURVIVORS_HASH", () => victim().confirmSurvivors({ ...list, survivors }), "site-04");
    }
  });

  test("the victim left out, or with another masked input", async () => {
    const list = await masked();
    await refuses("SECAGG_SURVIVORS_SELF", () => victim().confirmSurvivors(without(list, 0)), "site-01");
    const heading = { step: "masked-input", sender: client(0).name, recipient: COORDINATOR } as const;
    const payload = JSON.stringify({ hash: "0".repeat(64), words: SETTINGS.words });
    const other = statementOf(sign(crypto, client(0).signingKey, session, heading, payload));
    const survivors = list.survivors.with(0, other);
    await refuses("SECAGG_SURVIVORS_SELF", () => victim().confirmSurvivors({ ...list, survivors }), "site-01");
  });
});

describe("the consistency check", () => {
  test("too few signatures, counted once each", async () => {
    const list = await masked();
    const { signatures } = await confirmed(list);
    await refuses("SECAGG_SIGNATURES_FEW", () => victim().reveal({ signatures: signatures.slice(0, 4) }));
    const repeated = Array.from({ length: 5 }, () => signatures[1]!);
    await refuses("SECAGG_SIGNATURES_FEW", () => victim().reveal({ signatures: repeated }));
    expect(
      client(0)
        .log.entries()
        .filter(({ type }) => type === "revealed"),
    ).toEqual([]);
  });

  test("signatures on another list, and of those who are no survivors", async () => {
    const list = await masked();
    const mine = victim().confirmSurvivors(without(list, 5));
    const { signatures } = await confirmed(list, rounds.slice(1));
    expect(mine.step).toBe("consistency");
    await refuses("SECAGG_SIGNATURE", () => victim().reveal({ signatures: signatures.slice(0, 4) }), "site-02");
    await refuses("SECAGG_SURVIVORS_UNKNOWN", () => victim().reveal({ signatures: signatures.slice(4) }), "site-06");
  });

  test("the same question again gets the same answer and no other", async () => {
    const list = without(await masked(), 5);
    const signatures = await confirmed(list, rounds.slice(0, 5));
    const answer = await victim().reveal(signatures);
    expect(await victim().reveal(signatures)).toEqual(answer);
    const { selfMask, maskKey } = JSON.parse(answer.payload);
    expect(selfMask.map(({ owner }: { owner: string }) => owner)).toEqual(
      fed.clients.slice(0, 5).map(({ name }) => name),
    );
    expect(maskKey.map(({ owner }: { owner: string }) => owner)).toEqual(["site-06"]);
    expect(
      client(0)
        .log.entries()
        .filter(({ type }) => type === "revealed"),
    ).toHaveLength(1);
  });
});

describe("retries that isolate", () => {
  async function attempt(number: number, gone: number[], round = 1, parent = session.parentHash) {
    session = fakeSession(fed, { attempt: number, round, parentHash: parent });
    rounds = fed.clients.map((c) => fakeRound(fed, c, session));
    const list = without(await masked(), ...gone);
    const who = rounds.filter((_, i) => !gone.includes(i));
    const signatures = await confirmed(list, who);
    return Promise.all(who.map((r) => r.reveal(signatures)));
  }

  test("the same round without one of the clients before", async () => {
    await attempt(0, []);
    await refuses("SECAGG_RETRY_ISOLATES", () => attempt(1, [5]));
    expect(await attempt(2, [])).toHaveLength(6);
  });

  test("the same round with one client more than before", async () => {
    await attempt(0, [5]);
    await refuses("SECAGG_RETRY_ISOLATES", () => attempt(1, []));
    await refuses("SECAGG_RETRY_ISOLATES", () => attempt(2, [4]));
  });

  test("four lists, any two of which differ by whole groups, that isolate one site together", async () => {
    fed = fakeFederation(22, crypto);
    const one = 21;
    const gone = [
      [1, 2, 3, 4, 5, 6, one],
      [1, 2, 3, 7, 8, 9],
      [4, 5, 6, 10, 11, 12],
      [7, 8, 9, 10, 11, 12],
    ];
    // Those in the first and the last sum, less those in the other two, is one site's update.
    const times = fed.clients.map((_, i) =>
      [-1, 1, 1, -1].reduce((sum, sign, k) => sum + (gone[k]?.includes(i) === true ? sign : 0), 0),
    );
    expect(times.map(Math.abs)).toEqual(fed.clients.map((_, i) => (i === one ? 1 : 0)));
    expect(await attempt(0, gone[0] as number[])).toHaveLength(15);
    for (const [k, list] of gone.entries()) {
      if (k > 0) await refuses("SECAGG_RETRY_ISOLATES", () => attempt(k, list));
    }
    expect(await attempt(9, gone[0] as number[])).toHaveLength(15);
  });

  test("another parent for a revealed round; a revealed parent for another round", async () => {
    const other = "ab".repeat(32) as typeof session.parentHash;
    const parent = session.parentHash;
    await attempt(0, []);
    await refuses("SECAGG_PARENT_CHANGED", () => attempt(1, [], 1, other));
    await refuses("SECAGG_PARENT_REUSED", () => attempt(0, [], 2, parent));
    const next = fakeRound(fed, client(0), fakeSession(fed, { round: 2 }), SETTINGS, {
      site: { minCohort: 3, minSurvivors: 3, allowVoid: true },
    });
    expect((await next.advertise()).round).toBe(2);
  });
});

describe("groups", () => {
  const plan = { mode: "malicious", cohortMax: 64, graph: GRAPH, words: SETTINGS.words, wordBits: 32 } as const;
  let group: ClientName[];
  let messages: SignedStep[];

  async function shared(size: number) {
    fed = fakeFederation(12, crypto);
    const groups = { size, minSurvivors: 3 };
    rounds = fed.clients.map((c) => fakeRound(fed, c, session, SETTINGS, { plan: { ...plan, groups } }));
    const names = fed.clients.map(({ name }) => name);
    group = groupsOf(crypto, session, names, size).find((those) => those.includes(client(0).name)) ?? [];
    const roster = await advertised();
    messages = rounds.map((r) => r.shareKeys(roster));
  }

  /** Shares for the i-th client of all but `hidden`. */
  const sharesWithout = (i: number, hidden: readonly ClientName[] = []) =>
    announcement.shares(sharesFor(messages, client(i).name).shares.filter(({ sender }) => !hidden.includes(sender)));

  test("one site is told that its fellows shared no keys, so that it would mask with nobody", async () => {
    await shared(3);
    const fellows = group.filter((name) => name !== client(0).name);
    await refuses("SECAGG_GROUP_SMALL", () => victim().acceptShares(sharesWithout(0, fellows)));
    await refuses("SECAGG_STEP", () => victim().mask(newWords(32, SETTINGS.words)));
  });

  test("one site is told of fewer fellows than the others are", async () => {
    await shared(4);
    const hidden = group.filter((name) => name !== client(0).name).slice(0, 1);
    const inputs: SignedStep[] = [];
    for (const [i, round] of rounds.entries()) {
      round.acceptShares(sharesWithout(i, i === 0 ? hidden : []));
      inputs.push(await round.mask(newWords(32, SETTINGS.words)));
    }
    const names = fed.clients.map(({ name }) => name);
    const list = announcement.survivors(inputs.map(statementOf), names);
    for (const other of rounds.slice(1)) {
      await refuses("SECAGG_SHARERS", () => other.confirmSurvivors(list), "site-01");
    }
  });
});

describe("order", () => {
  test("every step refuses to come before the one it needs, and after the end", async () => {
    const list = await masked();
    const signatures = await confirmed(list);
    fed = fakeFederation(SIZE, crypto);
    const fresh = fakeRound(fed, client(0), session);
    await refuses("SECAGG_STEP", () => fresh.shareKeys({ entries: list.survivors }));
    await refuses("SECAGG_STEP", () => fresh.acceptShares({ shares: [] }));
    await refuses("SECAGG_STEP", () => fresh.mask(newWords(32, SETTINGS.words)));
    await refuses("SECAGG_STEP", () => fresh.confirmSurvivors(list));
    await refuses("SECAGG_STEP", () => fresh.reveal(signatures));
    victim().wipe();
    await refuses("SECAGG_STEP", () => victim().reveal(signatures));
    await refuses("SECAGG_STEP", () => victim().confirmSurvivors(list));
  });
});
