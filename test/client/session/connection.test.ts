import { afterEach, describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { CodedError } from "../../../shared/errors.ts";
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

describe("a broken connection", () => {
  test("the same attempt goes on; what was not heard is said again after `ready`", async () => {
    const sites = await ready(3);
    const cut = sites[0] as Site;
    const session = world.open();
    const book = new ByTheBook(world, session, WORDS);
    const roster = await book.advertise(sites);
    cut.line.say(world.announce(session, "roster", roster));
    cut.line.disconnect();
    await new Promise((resolve) => setTimeout(resolve, 20));
    cut.line.connect();
    // Longer than the sender waits between tries: it must wait for `ready`.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(cut.line.steps("share-keys", session.sid)).toEqual([]);
    await world.ready(cut);
    const shares = await book.share(sites);
    const list = await book.mask(sites, shares);
    await book.unmask(sites, list, await book.confirm(sites, list));
    const kinds = cut.line.sent.map((m) => (m.type === "step" ? m.signed.step : m.type));
    expect(kinds.indexOf("share-keys")).toBeGreaterThan(kinds.lastIndexOf("ready"));
    expect(cut.trainer.trained).toBe(1);
  });

  test("is said once, not with every try, and again after it stood in between", async () => {
    const [site] = (await ready(1)) as [Site];
    const told = () => site.logged.filter(({ words }) => words.startsWith("not connected")).length;
    for (let i = 0; i < 3; i++) site.line.disconnect();
    expect(told()).toBe(1);
    site.line.connect();
    site.line.disconnect();
    expect(told()).toBe(2);
  });

  test("an upload that was cut is made again, with the same bytes", async () => {
    const sites = await ready(3);
    const cut = sites[0] as Site;
    const session = world.open();
    const book = new ByTheBook(world, session, WORDS);
    await book.advertise(sites);
    const shares = await book.share(sites);
    const whole = cut.line.upload.bind(cut.line);
    let tries = 0;
    cut.line.upload = async (...given) => {
      tries += 1;
      if (tries === 1) throw new CodedError("DISCONNECTED", "cut");
      return whole(...given);
    };
    const list = await book.mask(sites, shares);
    await book.unmask(sites, list, await book.confirm(sites, list));
    expect(tries).toBe(2);
  });

  test("a step that the coordinator refuses ends the attempt here, not the client", async () => {
    const sites = await ready(3);
    const [site] = sites as [Site, Site, Site];
    const session = world.open();
    site.line.refuse = (m) => (m.type === "step" ? new CodedError("SECAGG_SESSION", "too late") : null);
    site.line.say(world.begin(session));
    expect((await site.line.heard("decline")).reason.code).toBe("SECAGG_SESSION");
    site.line.refuse = () => null;
    await new ByTheBook(world, world.open({ attempt: 1 }), WORDS).advertise(sites);
  });
});

describe("heartbeats", () => {
  test("name the session and how far training is, and stop naming it when it is over", async () => {
    const [site] = (await ready(1, { heartbeatMs: 5 })) as [Site];
    await until(() => site.line.sent.find((m) => m.type === "heartbeat" && m.sid === null && m.progress === null));
    site.trainer.gate = new Promise(() => {});
    const session = world.open();
    site.line.say(world.begin(session));
    await until(() => site.line.sent.find((m) => m.type === "heartbeat" && m.progress?.step === 1));
    const beat = site.line.sent.findLast((m) => m.type === "heartbeat");
    expect(beat).toEqual({ type: "heartbeat", sid: session.sid, progress: { step: 1, steps: 2 } });
    site.line.say(world.ended(session, "failed"));
    const length = site.line.sent.length;
    await until(() => site.line.sent.slice(length + 1).find((m) => m.type === "heartbeat"));
    expect(site.line.sent.findLast((m) => m.type === "heartbeat")).toMatchObject({ sid: null });
  });

  test("never name an older session after keys of a newer one were advertised", async () => {
    const [site] = (await ready(1, { heartbeatMs: 1 })) as [Site];
    const [old, now] = [world.open(), world.open({ attempt: 1 })];
    for (const session of [old, now]) {
      site.line.say(world.begin(session));
      await site.line.step("advertise-keys", session.sid);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    const at = site.line.sent.findIndex((m) => m.type === "step" && m.signed.sid === now.sid);
    const later = site.line.sent.slice(at).flatMap((m) => (m.type === "heartbeat" ? [m.sid] : []));
    expect(later.length).toBeGreaterThan(0);
    expect(new Set(later)).toEqual(new Set([now.sid]));
  });
});

describe("the outbox", () => {
  test("holds everything that left, before it left, under the approved plan", async () => {
    const sites = await ready(3, { heartbeatMs: 4 });
    const [site] = sites as [Site, Site, Site];
    const missing: string[] = [];
    const listed = (hash: string) => site.outbox.some(({ sha256 }) => sha256 === hash);
    const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    const { send, upload } = { send: site.line.send.bind(site.line), upload: site.line.upload.bind(site.line) };
    site.line.send = async (message) => {
      if (message.type !== "heartbeat" && !listed(sha256(JSON.stringify(message)))) missing.push(message.type);
      if (message.type === "heartbeat" && site.outbox.at(-1) === undefined) missing.push("heartbeat");
      return send(message);
    };
    site.line.upload = async (sid, hash, bytes) => {
      if (!listed(hash) || sha256(bytes) !== hash) missing.push("upload");
      return upload(sid, hash, bytes);
    };
    const session = world.open();
    await new ByTheBook(world, session, WORDS).sum(sites);
    await until(() => site.line.sent.find(({ type }) => type === "heartbeat"));
    site.line.disconnect();
    await until(() => site.outbox.find(({ kind }) => kind === "heartbeats"));
    expect(missing).toEqual([]);
    const kinds = site.outbox.filter((entry) => entry.session?.sid === session.sid).map(({ kind }) => kind);
    expect(kinds).toEqual([
      "step advertise-keys",
      "step share-keys",
      "masked vector",
      "step masked-input",
      "step consistency",
      "step unmask",
    ]);
    const [connection, ...rest] = site.outbox;
    expect(connection).toMatchObject({ kind: "connection", approval: null });
    expect(new Set(rest.map(({ approval }) => approval))).toEqual(new Set([world.configHash]));
    const beats = site.line.sent.filter(({ type }) => type === "heartbeat");
    const total = site.outbox.find(({ kind }) => kind === "heartbeats");
    expect(total).toMatchObject({
      count: beats.length,
      bytes: beats.reduce((sum, beat) => sum + JSON.stringify(beat).length, 0),
    });
  });

  test("nothing is sent that could not be written down", async () => {
    const [site] = (await ready(1)) as [Site];
    const before = site.line.sent.length;
    site.outbox.push = () => {
      throw new Error("the disk is full");
    };
    site.line.say(world.begin(world.open()));
    await until(() => site.logged.find(({ level }) => level === "error"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(site.line.sent).toHaveLength(before);
  });
});

test("stop ends everything: no step is answered any more", async () => {
  const sites = await ready(3);
  const [site] = sites as [Site, Site, Site];
  const session = world.open();
  const roster = await new ByTheBook(world, session, WORDS).advertise(sites);
  await site.session.stop();
  expect(await site.session.finished).toBe("stopped");
  expect(site.trainer.disposed).toBe(true);
  const before = site.line.sent.length;
  site.line.say(world.announce(session, "roster", roster));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(site.line.sent).toHaveLength(before);
});
