/** A malicious coordinator on a sparse graph, without the authority's key: what it could only try there. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { ClientRound } from "../../../client/secagg/client-round.ts";
import { pickHolders } from "../../../client/secagg/holders.ts";
import { admitShareKeys } from "../../../coordinator/aggregate/admit.ts";
import { announcement } from "../../../coordinator/aggregate/announce.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { ClientName } from "../../../shared/ids.ts";
import { NodeCrypto, systemRandom } from "../../../shared/node/crypto.ts";
import { newWords } from "../../../shared/secagg/mask.ts";
import type { ShareKeys, Shares, Survivors } from "../../../shared/secagg/messages.ts";
import { openRoster, type Members } from "../../../shared/secagg/roster.ts";
import type { Session } from "../../../shared/secagg/session.ts";
import { sharingGraph } from "../../../shared/secagg/sharing-graph.ts";
import { COORDINATOR, sign, statementOf, type SignedStep } from "../../../shared/secagg/signed.ts";
import { withVerificationCache } from "../../../shared/secagg/verification-cache.ts";
import {
  fakeFederation,
  fakeRound,
  fakeSession,
  SPARSE_GRAPH,
  NOW,
  SETTINGS,
  type FakeClient,
  type FakeFederation,
} from "../../fakes/secagg.ts";

const crypto = withVerificationCache(new NodeCrypto());
const SIZE = 12;
const SPARSE = {
  ...SETTINGS,
  words: 5,
  graph: SPARSE_GRAPH,
};
const { neighbours, limits } = sharingGraph(SIZE, "malicious", SPARSE.graph);

let fed: FakeFederation;
let session: Session;
let rounds: ClientRound[];
let members: Members;
let sent: SignedStep[];
let names: ClientName[];

beforeEach(async () => {
  fed = fakeFederation(SIZE, crypto);
  session = fakeSession(fed);
  rounds = fed.clients.map((client) => fakeRound(fed, client, session, SPARSE));
  const roster = announcement.roster((await Promise.all(rounds.map((r) => r.advertise()))).map(statementOf));
  members = openRoster(crypto, fed.trust, session, roster.entries, NOW);
  sent = rounds.map((r) => r.shareKeys(roster));
  names = fed.clients.map(({ name }) => name);
});

const victim = () => rounds[0] as ClientRound;
const client = (i: number) => fed.clients[i] as FakeClient;
const holdersOf = (i: number) => (JSON.parse(sent[i]!.payload) as ShareKeys).shares.map(({ to }) => to);

function sharesFor(i: number, sharers: readonly ClientName[] = names): Shares {
  const addressed = sent.flatMap((message) => {
    const { sender } = message;
    if (sender === names[i] || !sharers.includes(sender as ClientName)) return [];
    return admitShareKeys(crypto, session, members, message, neighbours).statementFor(names[i] as ClientName) ?? [];
  });
  return announcement.shares(addressed, sharers);
}

async function masked(sharersFor: (i: number) => readonly ClientName[] = () => names): Promise<Survivors> {
  const inputs: SignedStep[] = [];
  for (const [i, round] of rounds.entries()) {
    round.acceptShares(sharesFor(i, sharersFor(i)));
    inputs.push(await round.mask(newWords(32, SPARSE.words)));
  }
  return announcement.survivors(inputs.map(statementOf), names);
}

async function refuses(code: ErrorCode, act: () => unknown, who?: string): Promise<void> {
  const error = await Promise.resolve()
    .then(act)
    .then(
      () => null,
      (thrown: unknown) => thrown as { code: ErrorCode; details: Record<string, unknown> },
    );
  expect({ code: error?.code, client: error?.details["client"] }).toEqual({ code, client: who });
}

/** The roster without these holders of the victim, as if they had never shared keys. */
function withoutHolders(count: number): ClientName[] {
  const gone = holdersOf(0)
    .filter((name) => name !== names[0])
    .slice(0, count);
  return names.filter((name) => !gone.includes(name));
}

describe("whom a client trusts with its shares", () => {
  test("it picks itself, everybody equally often", () => {
    const graph = sharingGraph(SIZE, "malicious", SPARSE.graph);
    const times = new Map(names.map((name) => [name, 0]));
    const rounds = 2_000;
    for (let i = 0; i < rounds; i++) {
      const picked = pickHolders(systemRandom(), members, names[0] as ClientName, graph);
      expect(picked).toHaveLength(neighbours + 1);
      for (const { name } of picked) times.set(name, (times.get(name) as number) + 1);
    }
    expect(times.get(names[0] as ClientName)).toBe(rounds);
    const share = neighbours / (SIZE - 1);
    for (const name of names.slice(1)) expect((times.get(name) as number) / rounds).toBeCloseTo(share, 1);
  });

  test("the choice is signed and cannot be changed on the way", () => {
    expect(holdersOf(0)).toHaveLength(neighbours + 1);
    expect(holdersOf(0)).toContain(names[0]);
    expect(new Set(names.map((_, i) => holdersOf(i).join())).size).toBeGreaterThan(1);
  });
});

describe("shares under one signature", () => {
  test("changed on the way, with another's proof, without one, or made for somebody else", async () => {
    const honest = sharesFor(0);
    const [first, second] = honest.shares;
    const other = sharesFor(1).shares.find(({ sender }) => sender === first!.sender);
    const lied = (payload: string) => () =>
      victim().acceptShares({ ...honest, shares: honest.shares.with(0, { ...first!, payload }) });
    const [part = "", proof = ""] = first!.payload.split(".");
    const [otherPart = "", otherProof = ""] = (other ?? second!).payload.split(".");
    const flipped = `${part.slice(0, 40)}${part[40] === "A" ? "B" : "A"}${part.slice(41)}`;
    await refuses("SECAGG_SIGNATURE", lied(`${flipped}.${proof}`), first!.sender);
    await refuses("SECAGG_SIGNATURE", lied(`${part}.${otherProof}`), first!.sender);
    await refuses("SECAGG_SIGNATURE", lied(`${otherPart}.${otherProof}`), first!.sender);
    await refuses("SECAGG_SIGNATURE", lied(`${part}.${proof.slice(0, 32)}`), first!.sender);
    await refuses("WIRE_INVALID", lied(part), first!.sender);
    await refuses("WIRE_INVALID", lied(`${part}.${proof}A`), first!.sender);
    await refuses("WIRE_INVALID", lied(`${part}.${proof.repeat(9)}`), first!.sender);
    expect(victim().acceptShares(honest)).toBeUndefined();
  });

  test("or under each, as the graph is, and not the other way", () => {
    const says = (i: number, payload: object) => {
      const heading = { step: "share-keys", sender: names[i] as ClientName, recipient: COORDINATOR } as const;
      return sign(crypto, client(i).signingKey, session, heading, JSON.stringify(payload));
    };
    const given = JSON.parse(sent[0]!.payload) as ShareKeys;
    const admit = (payload: object) => () => admitShareKeys(crypto, session, members, says(0, payload), neighbours);
    expect(admit(given)().holders.length).toBe(neighbours + 1);
    const { signature, shares } = given;
    for (const lie of [{ shares }, { shares: shares.map((share) => ({ ...share, signature })), signature }]) {
      expect(admit(lie)).toThrow(/signature/);
    }
    const swapped = shares.with(1, { ...shares[1]!, payload: shares[2]!.payload });
    expect(admit({ shares: swapped, signature })).toThrow(/not valid/);
  });
});

describe("who is said to have shared keys", () => {
  test("fewer of the victim's own holders than give back its secrets", async () => {
    const sharers = withoutHolders(neighbours + 2 - limits.selfMask);
    expect(sharers.length).toBeGreaterThan((2 * SIZE) / 3);
    await refuses("SECAGG_HOLDERS_FEW", () => victim().acceptShares(sharesFor(0, sharers)));
  });

  test("nobody, or people of no roster, or not the authors of the shares, or not the victim", async () => {
    const honest = sharesFor(0);
    await refuses("WIRE_INVALID", () => victim().acceptShares({ shares: honest.shares }));
    const named = (sharers: readonly string[]) => () =>
      victim().acceptShares({ shares: honest.shares, sharers: sharers as ClientName[] });
    await refuses("SECAGG_ROSTER_UNKNOWN", named([...names, "site-99"]), "site-99");
    const author = honest.shares[0]!.sender;
    await refuses("SECAGG_ROSTER_UNKNOWN", named(names.filter((name) => name !== author)), author);
    await refuses("SECAGG_ROSTER_UNKNOWN", named(names.slice(1)), "site-01");
    await refuses("WIRE_INVALID", named(names.toReversed()));
    await refuses("SECAGG_SURVIVORS_FEW", () => victim().acceptShares(sharesFor(0, names.slice(0, 8))));
    expect(victim().acceptShares(honest)).toBeUndefined();
    await refuses("SECAGG_SHARES_CHANGED", named(names.slice(0, -1)));
  });

  test("different people for different clients: their masks would not be those the others count on", async () => {
    const other = names.slice(0, -1);
    const list = await masked((i) => (i === 0 ? other : names));
    await refuses("SECAGG_SHARERS", () => rounds[1]!.confirmSurvivors(list), "site-01");
    await refuses(
      "SECAGG_SHARERS",
      () => {
        const survivors = list.survivors.slice(0, -1);
        return victim().confirmSurvivors({ survivors, dropouts: [] });
      },
      "site-02",
    );
  });

  test("a list of sharers where everybody shares with everybody", async () => {
    const complete = fakeFederation(4, crypto);
    const four = complete.clients.map((c) => fakeRound(complete, c, session));
    const roster = announcement.roster((await Promise.all(four.map((r) => r.advertise()))).map(statementOf));
    four[0]!.shareKeys(roster);
    await refuses("WIRE_INVALID", () => four[0]!.acceptShares({ shares: [], sharers: names.slice(0, 4) }));
  });
});

test("a roster whose groups would be summed on a sparse graph, where few masks would be left in a group", async () => {
  const fresh = fakeFederation(SIZE, crypto);
  const grouped = fresh.clients.map((c) =>
    fakeRound(fresh, c, session, SPARSE, {
      plan: {
        mode: "malicious",
        cohortMax: 64,
        graph: SPARSE.graph,
        words: 5,
        wordBits: 32,
        groups: { size: 4, minSurvivors: 3 },
      },
    }),
  );
  const roster = announcement.roster((await Promise.all(grouped.map((r) => r.advertise()))).map(statementOf));
  await refuses("SECAGG_ROSTER_LARGE", () => grouped[0]!.shareKeys(roster));
});

describe("survivors and signatures", () => {
  test("a list without the victim's holders", async () => {
    const list = await masked();
    const left = withoutHolders(neighbours + 2 - limits.selfMask);
    const cut = {
      survivors: list.survivors.filter(({ sender }) => left.includes(sender)),
      dropouts: names.filter((name) => !left.includes(name)),
    };
    await refuses("SECAGG_HOLDERS_FEW", () => victim().confirmSurvivors(cut));
  });

  test("signatures of strangers do not stand in for those of the victim's own holders", async () => {
    const list = await masked();
    const signed = rounds.map((r) => r.confirmSurvivors(list));
    const signatures = signed.map(({ sender, signature }) => ({ sender: sender as ClientName, signature }));
    const holders = holdersOf(0);
    const strangers = signatures.filter(({ sender }) => !holders.includes(sender));
    const some = signatures.filter(({ sender }) => holders.includes(sender) && sender !== names[0]);
    const few = some.slice(0, limits.selfMask - 2);
    const shown = (list: typeof signatures) => announcement.signatures(list);
    expect(strangers.length + few.length + 1).toBeGreaterThanOrEqual(limits.selfMask);
    await refuses("SECAGG_SIGNATURES_FEW", () => victim().reveal(shown([...strangers, ...few])));
    const answer = await victim().reveal(shown(some.slice(0, limits.selfMask - 1)));
    // It reveals what it holds: its own share and those of the clients that picked it.
    const { selfMask, maskKey } = JSON.parse(answer.payload);
    const picked = names.filter((_, i) => holdersOf(i).includes(client(0).name));
    expect(selfMask.map(({ owner }: { owner: string }) => owner)).toEqual(picked);
    expect(maskKey).toEqual([]);
  });
});
