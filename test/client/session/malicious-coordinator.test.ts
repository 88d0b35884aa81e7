/** A coordinator that holds its own key, but not the authority's, and tries to learn one site's delta. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { memoryRoundLog } from "../../../client/secagg/round-log.ts";
import { announcement } from "../../../coordinator/aggregate/announce.ts";
import type { ClientName, Sha256 } from "../../../shared/ids.ts";
import type { Roster, Survivors } from "../../../shared/secagg/messages.ts";
import { NO_TRANSCRIPT, type Session } from "../../../shared/secagg/session.ts";
import { COORDINATOR, sign, statementOf } from "../../../shared/secagg/signed.ts";
import { issueCertificate, issueRevocationList } from "../../../shared/secagg/certificate.ts";
import { toBase64 } from "../../../shared/secagg/encoding.ts";
import type { CoordinatorMessage } from "../../../shared/wire/messages.ts";
import { messageSignature } from "../../../shared/wire/signing.ts";
import { NOW } from "../../fakes/secagg.ts";
import { ByTheBook } from "../../fakes/session-round.ts";
import { SessionWorld, until, type Site, type SiteOptions } from "../../fakes/session-world.ts";

let world: SessionWorld;
afterEach(() => world.stop());

const WORDS = 53;

async function ready(count: number, options: SiteOptions = {}): Promise<Site[]> {
  world = await SessionWorld.open(count);
  const sites = Array.from({ length: count }, (_, i) => world.site(i, options));
  await Promise.all(sites.map((site) => world.ready(site)));
  return sites;
}

async function refusal(site: Site, message: CoordinatorMessage): Promise<string> {
  const before = site.line.sent.filter(({ type }) => type === "decline").length;
  site.line.say(message);
  const { reason } = await site.line.heard("decline", before);
  // Logged at this end, too.
  expect(site.logged.some(({ level, code }) => level === "error" && code === reason.code)).toBe(true);
  return reason.code;
}

const first = (sites: readonly Site[]) => sites[0] as Site;

/** Nothing that opens a mask ever left the site in this session. */
function revealedNothing(site: Site, session: Session): void {
  expect(site.line.steps("unmask", session.sid)).toEqual([]);
}

describe("the clipping norm of a round", () => {
  const ADAPTIVE = { unit: "client", epsilon: 8, noise: 3, clipNorm: { adaptive: { from: 1, min: 0.5, max: 2 } } };

  async function site(privacy: object, policy: SiteOptions["policy"] = {}): Promise<Site> {
    world = await SessionWorld.open(1, { privacy });
    const only = world.site(0, { policy });
    await world.ready(only);
    return only;
  }

  test("outside the plan's bounds, or left out, is refused before anything is trained", async () => {
    const only = await site(ADAPTIVE);
    for (const [attempt, clipNorm] of [0.49, 2.01, 1e300, undefined].entries()) {
      const session = world.open({ attempt, ...(clipNorm !== undefined && { clipNorm }) });
      expect(await refusal(only, world.begin(session))).toBe("SESSION_CLIP");
    }
    const scores = world.open({ purpose: "evaluation", clipNorm: 1 });
    expect(await refusal(only, world.begin(scores))).toBe("SESSION_CLIP");
    expect(only.trainer.trained).toBe(0);
    const session = world.open({ attempt: 9, clipNorm: 0.5 });
    only.line.say(world.begin(session));
    await only.line.step("advertise-keys", session.sid);
  });

  test("where the plan fixes it, no round brings another", async () => {
    const only = await site({ unit: "client", epsilon: 8, noise: 3 });
    expect(await refusal(only, world.begin(world.open({ clipNorm: 1 })))).toBe("SESSION_CLIP");
  });

  test("another norm for another site is another session: their signatures do not fit", async () => {
    await site(ADAPTIVE);
    expect(world.open({ clipNorm: 1 }).sid).not.toBe(world.open({ clipNorm: 1.5 }).sid);
    expect(world.open({ clipNorm: 1 }).sid).not.toBe(world.open().sid);
  });
});

describe("invitations", () => {
  test("signed by another key", async () => {
    const sites = await ready(1);
    expect(await refusal(first(sites), world.begin(world.open(), world.fed.authority))).toBe("SESSION_SIGNATURE");
  });

  test("changed after signing", async () => {
    const sites = await ready(1);
    const begin = world.begin(world.open()) as Extract<CoordinatorMessage, { type: "begin" }>;
    const changed = { ...begin, session: { ...begin.session, round: 2 } };
    expect(await refusal(first(sites), changed)).toBe("SESSION_SIGNATURE");
    expect(await refusal(first(sites), { ...begin, version: 1 })).toBe("SESSION_SIGNATURE");
  });

  test("an attempt replayed, to a client that still runs and to one that was restarted", async () => {
    const sites = await ready(1);
    const { line } = first(sites);
    for (const attempt of [0, 1]) {
      const session = world.open({ attempt });
      line.say(world.begin(session));
      await line.step("advertise-keys", session.sid);
      line.say(world.ended(session, "failed"));
    }
    // Another session id, so that it is no mere repetition.
    const digest = "1".repeat(64) as Sha256;
    const again = world.open({ attempt: 0, previousTranscriptDigest: digest });
    expect(await refusal(first(sites), world.begin(again))).toBe("SECAGG_ATTEMPT_REPLAYED");
    await world.stop();
    const restarted = world.site(0);
    await world.ready(restarted);
    expect(await refusal(restarted, world.begin(world.open({ attempt: 1 })))).toBe("SECAGG_ATTEMPT_REPLAYED");
    expect(restarted.trainer.trained).toBe(0);
  });

  test("a parent that nobody committed", async () => {
    const sites = await ready(1);
    const session = world.open({ parentHash: "a".repeat(64) as Sha256 });
    expect(await refusal(first(sites), world.begin(session))).toBe("RELEASE_CHAIN");
  });

  test("two stories about the attempt before", async () => {
    const sites = await ready(1);
    const { line } = first(sites);
    const session = world.open();
    line.say(world.begin(session));
    await line.step("advertise-keys", session.sid);
    line.say(world.ended(session, "failed", "d".repeat(64) as Sha256));
    const next = world.open({ attempt: 1, previousTranscriptDigest: NO_TRANSCRIPT as Sha256 });
    expect(await refusal(first(sites), world.begin(next))).toBe("SESSION_SPLIT_VIEW");
    const right = world.open({ attempt: 1, previousTranscriptDigest: "d".repeat(64) as Sha256 });
    line.say(world.begin(right));
    await line.step("advertise-keys", right.sid);
  });

  test("a second, different end of a session", async () => {
    const sites = await ready(1);
    const { line } = first(sites);
    const session = world.open();
    const [told, later] = ["d".repeat(64) as Sha256, "e".repeat(64) as Sha256];
    line.say(world.begin(session));
    await line.step("advertise-keys", session.sid);
    line.say(world.ended(session, "failed", told));
    line.say(world.ended(session, "failed", later));
    await until(() => first(sites).logged.some(({ code }) => code === "SESSION_SPLIT_VIEW"));
    const next = world.open({ attempt: 1, previousTranscriptDigest: later });
    expect(await refusal(first(sites), world.begin(next))).toBe("SESSION_SPLIT_VIEW");
    const right = world.open({ attempt: 1, previousTranscriptDigest: told });
    line.say(world.begin(right));
    await line.step("advertise-keys", right.sid);
  });

  test("a list of revoked members that the authority did not sign", async () => {
    const sites = await ready(1);
    const { coordinator, trust } = world.fed;
    const fields = { federation: trust.federation as Sha256, version: 1, serials: [] };
    const { sid: _sid, ...session } = world.open();
    const message = {
      type: "begin" as const,
      session,
      version: 0,
      revoked: issueRevocationList(coordinator, fields),
      history: { before: session.previousTranscriptDigest, links: [] },
    };
    const begin = { ...message, signature: messageSignature(coordinator, message) };
    expect(await refusal(first(sites), begin)).toBe("CERTIFICATE_INVALID");
  });
});

describe("rosters", () => {
  async function invited(count: number): Promise<{ sites: Site[]; session: Session; roster: Roster }> {
    const sites = await ready(count);
    const session = world.open();
    const roster = await new ByTheBook(world, session, WORDS).advertise(sites);
    return { sites, session, roster };
  }

  /** An advertisement of somebody the coordinator invented. */
  function puppet(session: Session, name: string): Roster["entries"][number] {
    const { crypto, coordinator, trust } = world.fed;
    const key = crypto.signingKey(crypto.sha256(Buffer.from(name)));
    const certificate = issueCertificate(coordinator, {
      federation: trust.federation as Sha256,
      name: name as ClientName,
      key: toBase64(key.publicKey),
      issuedAt: NOW - 1,
      expiresAt: NOW + 1_000,
      serial: "f".repeat(16),
    });
    const random = (label: string) => toBase64(crypto.agreementKey(crypto.sha256(Buffer.from(name + label))).publicKey);
    const payload = { certificate, boxKey: random("c"), maskKey: random("s"), selfMask: random("b") };
    const heading = { step: "advertise-keys", sender: name as ClientName, recipient: COORDINATOR } as const;
    return statementOf(sign(crypto, key, session, heading, JSON.stringify(payload)));
  }

  test("a cohort of puppets that the authority never certified", async () => {
    const { sites, session, roster } = await invited(1);
    const puppets = ["puppet-1", "puppet-2", "puppet-3"].map((name) => puppet(session, name));
    const all = announcement.roster([...roster.entries, ...puppets]);
    expect(await refusal(first(sites), world.announce(session, "roster", all))).toBe("CERTIFICATE_INVALID");
    expect(first(sites).line.steps("share-keys", session.sid)).toEqual([]);
  });

  test("one without this client, or with its keys of another session", async () => {
    const { sites, session, roster } = await invited(4);
    const without = announcement.roster(roster.entries.slice(1));
    expect(await refusal(first(sites), world.announce(session, "roster", without))).toBe("SECAGG_ROSTER_SELF");
    const second = sites[1] as Site;
    const other = world.open({ attempt: 1 });
    const book = new ByTheBook(world, other, WORDS);
    for (const { line } of sites) line.say(world.ended(session, "failed"));
    const mixed = announcement.roster([
      ...(await book.advertise(sites)).entries.slice(0, 3),
      ...roster.entries.slice(3),
    ]);
    expect(await refusal(second, world.announce(other, "roster", mixed))).toBe("SECAGG_SIGNATURE");
  });

  test("one that is smaller than the site allows, before a second one that is large enough", async () => {
    const { sites, session, roster } = await invited(4);
    const small = announcement.roster(roster.entries.slice(0, 2));
    expect(await refusal(first(sites), world.announce(session, "roster", small))).toBe("POLICY_MIN_COHORT");
  });

  test("a second, different one", async () => {
    const { sites, session, roster } = await invited(4);
    first(sites).line.say(world.announce(session, "roster", roster));
    await first(sites).line.step("share-keys", session.sid);
    const other = announcement.roster(roster.entries.slice(0, 3));
    expect(await refusal(first(sites), world.announce(session, "roster", other))).toBe("SECAGG_ROSTER_CHANGED");
  });
});

describe("survivor lists", () => {
  async function masked(count: number, options: SiteOptions = {}) {
    const sites = await ready(count, options);
    const session = world.open();
    const book = new ByTheBook(world, session, WORDS);
    await book.advertise(sites);
    const list = await book.mask(sites, await book.share(sites));
    return { sites, session, book, list };
  }

  function without(list: Survivors, i: number): Survivors {
    const gone = list.survivors[i] as Survivors["survivors"][number];
    return { survivors: list.survivors.filter((s) => s !== gone), dropouts: [gone.sender] };
  }

  test("two of them in one attempt: both secrets of one site", async () => {
    const { sites, session, book, list } = await masked(5);
    const signatures = await book.confirm(sites, list);
    const site = first(sites);
    expect(await refusal(site, world.announce(session, "survivors", without(list, 4)))).toBe(
      "SECAGG_SURVIVORS_CHANGED",
    );
    site.line.say(world.announce(session, "signatures", signatures));
    revealedNothing(site, session);
  });

  test("one site as survivor and as dropout", async () => {
    const { sites, session, list } = await masked(5);
    const both = { ...list, dropouts: [list.survivors[4]?.sender as ClientName] };
    expect(await refusal(first(sites), world.announce(session, "survivors", both))).toBe("SECAGG_BOTH_SECRETS");
    revealedNothing(first(sites), session);
  });

  test("different lists for different sites: nobody gets enough signatures", async () => {
    const { sites, session, book, list } = await masked(5);
    const [left, right] = [sites.slice(0, 3), sites.slice(3)];
    const one = await book.confirm(left, list);
    const site = first(sites);
    expect(await refusal(site, world.announce(session, "signatures", one))).toBe("SECAGG_SIGNATURES_FEW");
    const other = new ByTheBook(world, session, WORDS);
    Object.assign(other, { members: book.members });
    for (const [name, shares] of book.shared) other.shared.set(name, shares);
    const two = await other.confirm(right, without(list, 0));
    const mixed = announcement.signatures([...one.signatures, ...two.signatures]);
    expect(await refusal(sites[1] as Site, world.announce(session, "signatures", mixed))).toBe("SECAGG_SIGNATURE");
    for (const each of sites) revealedNothing(each, session);
  });

  test("fewer than the site demands", async () => {
    const { sites, session, list } = await masked(5, { policy: { minSurvivors: 5 } });
    const four = world.announce(session, "survivors", without(list, 4));
    expect(await refusal(first(sites), four)).toBe("POLICY_MIN_SURVIVORS");
  });

  test("a retry that leaves one site out, to isolate it by a difference", async () => {
    const { sites, session, book, list } = await masked(5);
    await book.unmask(sites, list, await book.confirm(sites, list));
    for (const { line } of sites) line.say(world.ended(session, "failed"));
    const retry = world.open({ attempt: 1 });
    const again = new ByTheBook(world, retry, WORDS);
    await again.advertise(sites);
    const four = sites.slice(0, 4);
    const shares = await again.share(sites);
    const isolating = await again.mask(four, shares);
    expect(isolating.dropouts).toHaveLength(1);
    expect(await refusal(first(sites), world.announce(retry, "survivors", isolating))).toBe("SECAGG_RETRY_ISOLATES");
    revealedNothing(first(sites), retry);
  });

  test("the same round again from another parent, and a void round's parent where the site forbids it", async () => {
    const { sites, session, book, list } = await masked(4, { policy: { allowVoid: false } });
    await book.unmask(sites, list, await book.confirm(sites, list));
    for (const { line } of sites) line.say(world.ended(session, "void"));
    const other = world.open({ attempt: 1, parentHash: "b".repeat(64) as Sha256 });
    expect(await refusal(first(sites), world.begin(other))).toBe("SECAGG_PARENT_CHANGED");
    expect(await refusal(first(sites), world.begin(world.open({ round: 2 })))).toBe("SECAGG_PARENT_REUSED");
  });

  test("a void round's parent again where the site allows it", async () => {
    const { sites, session, book, list } = await masked(4);
    await book.unmask(sites, list, await book.confirm(sites, list));
    for (const { line } of sites) line.say(world.ended(session, "void"));
    const next = world.open({ round: 2 });
    await new ByTheBook(world, next, WORDS).advertise(sites);
    expect(sites.map(({ trainer }) => trainer.trained)).toEqual([2, 2, 2, 2]);
  });

  test("a sum that no transcript is left of: the next history does not have the session", async () => {
    const { sites, session, book, list } = await masked(4);
    await book.unmask(sites, list, await book.confirm(sites, list));
    // Nobody was told any end.
    expect(await refusal(first(sites), world.begin(world.open({ round: 2 })))).toBe("SESSION_SPLIT_VIEW");
    for (const { line } of sites) line.say(world.ended(session, "completed"));
    await new ByTheBook(world, world.open({ round: 3 }), WORDS).advertise(sites);
  });

  test("a site restarted after it revealed remembers the list", async () => {
    const log = memoryRoundLog();
    const { sites, session, book, list } = await masked(5);
    await book.unmask(sites, list, await book.confirm(sites, list));
    for (const entry of first(sites).client.log.entries()) await log.append(entry);
    await first(sites).session.stop();
    for (const { line } of sites) line.say(world.ended(session, "failed"));
    const back = world.site(0, { roundLog: log });
    await world.ready(back);
    const retry = world.open({ attempt: 1 });
    const again = new ByTheBook(world, retry, WORDS);
    const others = [back, ...sites.slice(1)];
    await again.advertise(others);
    const shares = await again.share(others);
    const isolating = await again.mask(others.slice(0, 4), shares);
    expect(await refusal(back, world.announce(retry, "survivors", isolating))).toBe("SECAGG_RETRY_ISOLATES");
  });
});
