import { afterEach, describe, expect, test } from "@jest/globals";
import { parseWindows } from "../../../shared/config/window.ts";
import { configHashOf } from "../../../shared/config/plan.ts";
import { CodedError } from "../../../shared/errors.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { NOW } from "../../fakes/secagg.ts";
import { SessionWorld, until } from "../../fakes/session-world.ts";

let world: SessionWorld;
afterEach(() => world.stop());

const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

describe("the training plan", () => {
  test("waits for a person's approval, says so, and goes on by itself afterwards", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0, { approved: false });
    site.line.say({ type: "plan", plan: world.plan, configHash: world.configHash });
    await until(() => site.logged.find(({ code }) => code === "POLICY_NOT_APPROVED"));
    await pause();
    expect(site.line.sent).toEqual([]);
    world.approve(site);
    await site.line.heard("ready");
    expect(site.line.sent[0]).toEqual({ type: "ready", configHash: world.configHash, version: -1 });
  });

  test("approved while the connection is down, it is ready as soon as the coordinator is back", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0, { approved: false });
    const plan = { type: "plan", plan: world.plan, configHash: world.configHash } as const;
    site.line.say(plan);
    await until(() => site.logged.find(({ code }) => code === "POLICY_NOT_APPROVED"));
    site.line.disconnect();
    world.approve(site);
    await pause();
    expect(site.line.sent).toEqual([]);
    expect(site.logged.filter(({ level }) => level === "error")).toEqual([]);
    site.line.connect();
    site.line.say(plan);
    await site.line.heard("ready");
  });

  test("a plan that comes again while it waits is not asked about twice over", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0, { approved: false });
    const plan = { type: "plan", plan: world.plan, configHash: world.configHash } as const;
    for (let i = 0; i < 3; i++) site.line.say(plan);
    await pause();
    world.approve(site);
    await site.line.heard("ready");
    await pause();
    expect(site.line.sent).toHaveLength(1);
  });

  test("data that cannot be read end the client with the reason", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0, { workplace: () => Promise.reject(new CodedError("DATA_EMPTY", "no pictures")) });
    site.line.say({ type: "plan", plan: world.plan, configHash: world.configHash });
    await expect(site.session.finished).rejects.toMatchObject({ code: "DATA_EMPTY" });
    expect(site.line.sent).toEqual([]);
  });

  test("an invitation before approval is refused with the reason", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0, { approved: false });
    site.line.say(world.begin(world.open()));
    expect((await site.line.heard("decline")).reason.code).toBe("POLICY_NOT_APPROVED");
    expect(site.trainer.trained).toBe(0);
  });

  test("a plan that breaks the site's policy is never run, approved or not, and both ends learn why", async () => {
    world = await SessionWorld.open(1, { secureAggregation: { mode: "semi-honest" } });
    const site = world.site(0);
    site.line.say({ type: "plan", plan: world.plan, configHash: world.configHash });
    const { sid, reason } = await site.line.heard("decline");
    expect([sid, reason.code]).toEqual([world.configHash, "POLICY_SECURE_AGGREGATION"]);
    expect(site.logged.some(({ code }) => code === "POLICY_SECURE_AGGREGATION")).toBe(true);
    site.line.say(world.begin(world.open()));
    await site.line.heard("decline", 1);
    expect(site.line.sent.filter(({ type }) => type === "ready" || type === "step")).toEqual([]);
  });

  test("a plan that is not what its hash says is not believed", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0);
    site.line.say({ type: "plan", plan: world.plan, configHash: configHashOf("other") });
    await until(() => site.logged.find(({ code }) => code === "PLAN_INVALID"));
    expect(site.line.sent).toEqual([]);
    await world.ready(site);
  });

  test("a plan changed after approval ends what runs and needs a new approval", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0);
    await world.ready(site);
    const session = world.open();
    site.line.say(world.begin(session));
    await site.line.step("advertise-keys", session.sid);
    const plan = world.plan.replace('"seed":7', '"seed":8');
    const configHash = configHashOf(plan);
    site.line.say({ type: "plan", plan, configHash });
    await until(() => site.logged.find(({ code }) => code === "POLICY_NOT_APPROVED"));
    expect(site.trainer.disposed).toBe(true);
    site.line.say(world.announce(session, "roster", { entries: [] }));
    expect(site.logged.at(-1)?.words).toBe("ignored a late roster");
    site.line.say(world.begin(world.open({ round: 2, configHash })));
    expect((await site.line.heard("decline")).reason.code).toBe("POLICY_NOT_APPROVED");
    site.approvals.push({ configHash, at: "", by: "test" });
    await until(() => site.line.sent.find((m) => m.type === "ready" && m.configHash === configHash));
  });

  test("an invitation under another plan than the approved one is refused", async () => {
    world = await SessionWorld.open(1);
    const site = world.site(0);
    await world.ready(site);
    site.line.say(world.begin(world.open({ configHash: configHashOf("another plan") })));
    expect((await site.line.heard("decline")).reason).toMatchObject({ code: "SESSION_PLAN" });
    site.line.say(world.begin(world.open({ federation: "0".repeat(64) as Sha256 })));
    expect((await site.line.heard("decline", 1)).reason).toMatchObject({ code: "SESSION_PLAN" });
  });

  test("outside its hours a site is not ready, and refuses when they end in between", async () => {
    world = await SessionWorld.open(1);
    const hours = parseWindows("08:00-09:00 UTC", "hours");
    const day = NOW - (NOW % 86_400_000);
    let now = day + 8.5 * 3_600_000;
    const site = world.site(0, { policy: { hours }, now: () => now });
    await world.ready(site);
    now = day + 12 * 3_600_000;
    site.line.say(world.begin(world.open()));
    const { reason } = await site.line.heard("decline");
    expect(reason.code).toBe("POLICY_HOURS");
    expect(reason.message).toContain("policy.hours");
    await until(() => site.logged.find(({ level, code }) => level === "info" && code === "POLICY_HOURS"));
    site.line.disconnect();
    site.line.connect();
    site.line.say({ type: "plan", plan: world.plan, configHash: world.configHash });
    await until(() => site.logged.filter(({ level, code }) => level === "info" && code === "POLICY_HOURS")[1]);
    await pause();
    expect(site.line.sent.filter(({ type }) => type === "ready")).toHaveLength(1);
  });

  test("a site that refused for its hours says that it is ready when they begin again", async () => {
    world = await SessionWorld.open(1);
    const hours = parseWindows("08:00-09:00 UTC", "hours");
    const day = NOW - (NOW % 86_400_000);
    let now = day + 8.5 * 3_600_000;
    const site = world.site(0, { policy: { hours }, now: () => now });
    await world.ready(site);
    now = day + 32 * 3_600_000 - 10;
    site.line.say(world.begin(world.open()));
    expect((await site.line.heard("decline")).reason.code).toBe("POLICY_HOURS");
    await pause();
    expect(site.line.sent.filter(({ type }) => type === "ready")).toHaveLength(1);
    now = day + 32 * 3_600_000;
    await until(() => site.line.sent.filter(({ type }) => type === "ready")[1]);
  });
});
