/** Every message of the coordinator in every state of an attempt: answered, repeated, or refused with its code. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { announce, announcement } from "../../../coordinator/aggregate/announce.ts";
import type { Shares, Signatures, Survivors } from "../../../shared/secagg/messages.ts";
import type { CoordinatorMessage } from "../../../shared/wire/messages.ts";
import { ByTheBook } from "../../fakes/session-round.ts";
import { SessionWorld, until, type Site } from "../../fakes/session-world.ts";

let world: SessionWorld;
afterEach(() => world.stop());

const WORDS = 42 + 1 + 5 * 2;
const STATES = ["invited", "shared", "masked", "confirmed", "revealed", "over"] as const;
type State = (typeof STATES)[number];
const MESSAGES = ["begin", "roster", "shares", "survivors", "signatures", "ended"] as const;

interface Reached {
  readonly site: Site;
  readonly say: Record<(typeof MESSAGES)[number], () => CoordinatorMessage>;
  readonly sid: string;
}

/** Brings three sites as far as `state`; messages of later steps are made of what there is. */
async function reach(state: State): Promise<Reached> {
  world = await SessionWorld.open(3);
  const sites = [0, 1, 2].map((i) => world.site(i));
  await Promise.all(sites.map((site) => world.ready(site)));
  const session = world.open();
  const book = new ByTheBook(world, session, WORDS);
  const at = STATES.indexOf(state);
  const site = sites[0] as Site;
  const roster = await book.advertise(sites);
  let shares: Shares = { shares: [] };
  let survivors: Survivors = { survivors: roster.entries.map((e) => ({ ...e })), dropouts: [] };
  let signatures: Signatures = { signatures: [] };
  if (at >= 1) {
    const all = await book.share(sites);
    shares = all.get(site.client.name) as Shares;
    if (at >= 2) survivors = await book.mask(sites, all);
    if (at >= 3) signatures = await book.confirm(sites, survivors);
    if (at >= 4) await book.unmask(sites, survivors, signatures);
  }
  if (at >= 5) {
    site.line.say(world.ended(session, "completed"));
  }
  return {
    site,
    sid: session.sid,
    say: {
      begin: () => world.begin(session),
      roster: () => world.announce(session, "roster", roster),
      shares: () => world.announce(session, "shares", shares, site.client.name),
      survivors: () => world.announce(session, "survivors", survivors),
      signatures: () => world.announce(session, "signatures", signatures),
      ended: () => world.ended(session, "completed"),
    },
  };
}

/** What each message leads to in each state: a step (again), a code, "quiet" or "late". */
const TABLE: Record<State, Record<(typeof MESSAGES)[number], string>> = {
  invited: {
    begin: "advertise-keys",
    roster: "share-keys",
    shares: "SECAGG_STEP",
    survivors: "SECAGG_STEP",
    signatures: "SECAGG_STEP",
    ended: "quiet",
  },
  shared: {
    begin: "advertise-keys",
    roster: "share-keys",
    shares: "masked-input",
    survivors: "SECAGG_STEP",
    signatures: "SECAGG_STEP",
    ended: "quiet",
  },
  masked: {
    begin: "advertise-keys",
    roster: "share-keys",
    shares: "masked-input",
    survivors: "consistency",
    signatures: "SECAGG_STEP",
    ended: "quiet",
  },
  confirmed: {
    begin: "advertise-keys",
    roster: "share-keys",
    shares: "masked-input",
    survivors: "consistency",
    signatures: "unmask",
    ended: "quiet",
  },
  revealed: {
    begin: "advertise-keys",
    roster: "share-keys",
    shares: "masked-input",
    survivors: "consistency",
    signatures: "unmask",
    ended: "quiet",
  },
  over: {
    begin: "late",
    roster: "late",
    shares: "late",
    survivors: "late",
    signatures: "late",
    ended: "quiet",
  },
};

describe.each(STATES)("in state %s", (state) => {
  test.each(MESSAGES)("%s", async (message) => {
    const { site, say, sid } = await reach(state);
    const before = site.line.sent.length;
    const logged = site.logged.length;
    site.line.say(say[message]());
    const expected = TABLE[state][message];
    if (expected === "quiet" || expected === "late") {
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(site.line.sent.slice(before)).toEqual([]);
      const late = site.logged.slice(logged).some(({ words }) => words.startsWith("ignored a late"));
      expect(late).toBe(expected === "late");
      return;
    }
    const answer = await until(() => site.line.sent[before]);
    if (answer.type === "decline") {
      expect(answer.reason.code).toBe(expected);
      expect(site.logged.some(({ code }) => code === expected)).toBe(true);
      return;
    }
    expect(answer).toMatchObject({ type: "step", signed: { step: expected } });
    // Said again, it is the same to the letter.
    const steps = site.line.steps(expected as never, sid);
    for (const step of steps) expect(step).toEqual(steps[0]);
  });
});

describe("one attempt hears one story", () => {
  async function declined(site: Site, message: CoordinatorMessage): Promise<string> {
    const before = site.line.sent.filter(({ type }) => type === "decline").length;
    site.line.say(message);
    return (await site.line.heard("decline", before)).reason.code;
  }

  test("a roster for one client alone is refused", async () => {
    const { site, say } = await reach("invited");
    const right = say.roster() as Extract<CoordinatorMessage, { type: "step" }>;
    const { crypto, coordinator } = world.fed;
    const roster = JSON.parse(right.signed.payload);
    const signed = announce(crypto, coordinator, world.open(), "roster", roster, site.client.name);
    expect(await declined(site, { type: "step", signed })).toBe("SECAGG_SESSION");
  });

  test("a step that another key signed is refused", async () => {
    const { site, say } = await reach("invited");
    const right = say.roster() as Extract<CoordinatorMessage, { type: "step" }>;
    const { crypto, authority } = world.fed;
    const signed = announce(crypto, authority, world.open(), "roster", JSON.parse(right.signed.payload));
    expect(await declined(site, { type: "step", signed })).toBe("SECAGG_SIGNATURE");
  });

  test("a client's step coming from the coordinator is refused", async () => {
    const { site, say } = await reach("invited");
    const right = say.roster() as Extract<CoordinatorMessage, { type: "step" }>;
    const { crypto, coordinator } = world.fed;
    const signed = announce(crypto, coordinator, world.open(), "unmask" as never, JSON.parse(right.signed.payload));
    expect(await declined(site, { type: "step", signed })).toBe("SECAGG_SESSION");
  });

  test("after a refusal every secret is gone: even the right message is late", async () => {
    const { site, say } = await reach("masked");
    expect(await declined(site, say.signatures())).toBe("SECAGG_STEP");
    const before = site.line.sent.length;
    site.line.say(say.survivors());
    await until(() => site.logged.find(({ words }) => words === "ignored a late survivors"));
    expect(site.line.sent).toHaveLength(before);
  });

  test("the end of an attempt wipes the mask key and the self mask", async () => {
    const { site, say } = await reach("masked");
    // The attempt's first random bytes: the box key, the mask key, the self mask.
    const secrets = site.drawn.slice(1, 3);
    expect(secrets.every((bytes) => bytes.some((byte) => byte !== 0))).toBe(true);
    site.line.say(say.ended());
    expect(site.drawn.slice(0, 3).flatMap((bytes) => [...bytes])).toEqual(Array.from({ length: 96 }, () => 0));
  });

  test("an end that the coordinator did not sign is none", async () => {
    const { site, say } = await reach("invited");
    const end = say.ended() as Extract<CoordinatorMessage, { type: "ended" }>;
    site.line.say({ ...end, outcome: "void" });
    await until(() => site.logged.find(({ code }) => code === "SESSION_SIGNATURE"));
    site.line.say(say.roster());
    await until(() => site.line.sent.find((m) => m.type === "step" && m.signed.step === "share-keys"));
  });

  test("steps of a session this client is not in are ignored", async () => {
    const { site } = await reach("invited");
    const before = site.line.sent.length;
    site.line.say(world.announce(world.open({ round: 9 }), "roster", announcement.roster([])));
    await until(() => site.logged.find(({ words }) => words === "ignored a late roster"));
    expect(site.line.sent).toHaveLength(before);
  });
});
