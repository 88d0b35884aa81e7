/** One bad client never harms a round beyond itself. */
import { afterEach, describe, expect, test } from "@jest/globals";
import { decodeAggregate } from "../../../coordinator/aggregate/decode.ts";
import { CodedError } from "../../../shared/errors.ts";
import { fixedPoint } from "../../../shared/quantize/fixed-point.ts";
import { trainingLayout } from "../../../shared/secagg/vector-layout.ts";
import type { TrainingResult } from "../../../client/training/trainer.ts";
import { ByTheBook } from "../../fakes/session-round.ts";
import { SessionWorld, until, type Site } from "../../fakes/session-world.ts";

let world: SessionWorld;
afterEach(() => world.stop());

const layout = trainingLayout({ wordBits: 32, cohortMax: 8, coordinates: 42 });
const fixed = fixedPoint({ wordBits: 32, cohortMax: 8, maxWeight: 64, coordinateBound: 1 });

async function ready(count: number): Promise<Site[]> {
  world = await SessionWorld.open(count);
  const sites = Array.from({ length: count }, (_, i) => world.site(i));
  await Promise.all(sites.map((site) => world.ready(site)));
  return sites;
}

const spoilt = (change: (result: TrainingResult) => Partial<TrainingResult>) => (site: Site) => {
  site.trainer.spoil = (result) => ({ ...result, ...change(result) });
};
const fails = (failure: unknown) => (site: Site) => {
  site.trainer.failure = failure;
};

describe("a site whose training goes wrong leaves the attempt, which goes on without it", () => {
  test.each<[string, string, (site: Site) => void]>([
    ["NaN", "UPDATE_NOT_FINITE", spoilt(({ delta }) => ({ delta: delta.map((v, i) => (i === 3 ? Number.NaN : v)) }))],
    ["infinity", "UPDATE_NOT_FINITE", spoilt(({ delta }) => ({ delta: delta.map(() => Infinity) }))],
    ["a missing tensor", "UPDATE_SHAPE", spoilt(({ delta }) => ({ delta: delta.subarray(7) }))],
    ["no loss", "STATISTIC_INVALID", spoilt(() => ({ lossSum: Number.NaN }))],
    ["an exception", "TRAINING_FAILED", fails(new TypeError("x is not a function"))],
    ["something thrown that is no error", "TRAINING_FAILED", fails("out of memory")],
    ["a coded error", "ENGINE_UNAVAILABLE", fails(new CodedError("ENGINE_UNAVAILABLE", "no backend"))],
  ])("%s: %s", async (_what, code, spoil) => {
    const sites = await ready(5);
    const bad = sites[4] as Site;
    spoil(bad);
    const book = new ByTheBook(world, world.open(), layout.words);
    await book.advertise(sites);
    const { reason } = await bad.line.heard("decline");
    expect(reason.code).toBe(code);
    expect(bad.line.uploads.size).toBe(0);
    expect(bad.logged.some((line) => line.code === code)).toBe(true);
    // It had advertised; whether it shared keys first is a matter of time, so the others share without it.
    const rest = sites.slice(0, 4);
    const shares = await book.share(rest);
    const list = await book.mask(rest, shares);
    const sum = await book.unmask(rest, list, await book.confirm(rest, list));
    expect(decodeAggregate({ layout, fixed, clipNorm: null }, sum, 4).examples).toBe(96);
    for (const { line } of sites) line.say(world.ended(book.session, "completed"));
    // The next attempt finds it well again.
    Object.assign(bad.trainer, { failure: null, spoil: (result: TrainingResult) => result });
    await new ByTheBook(world, world.open({ round: 2 }), layout.words).sum(sites);
    expect(bad.trainer.trained).toBe(2);
  });
});

test("training that failed is tried again in the next attempt of the round", async () => {
  const sites = await ready(3);
  const bad = sites[2] as Site;
  bad.trainer.failure = new Error("out of memory");
  bad.line.say(world.begin(world.open()));
  await bad.line.heard("decline");
  bad.trainer.failure = null;
  await new ByTheBook(world, world.open({ attempt: 1 }), layout.words).sum(sites);
  expect(bad.trainer.trained).toBe(2);
});

describe("training begins before the keys and ends with the round", () => {
  test("it runs while keys are still shared; the vector waits for both", async () => {
    const sites = await ready(3);
    const slow = sites[0] as Site;
    let finish = () => {};
    slow.trainer.gate = new Promise((resolve) => (finish = resolve));
    const session = world.open();
    const book = new ByTheBook(world, session, layout.words);
    await book.advertise(sites);
    await until(() => sites.every(({ trainer }) => trainer.trained === 1));
    const shares = await book.share(sites);
    const masking = book.mask(sites, shares);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(slow.line.steps("masked-input", session.sid)).toEqual([]);
    finish();
    expect((await masking).survivors).toHaveLength(3);
  });

  test.each(["completed", "void"] as const)("a round that is %s ends training under way", async (outcome) => {
    const [site] = (await ready(1)) as [Site];
    site.trainer.gate = new Promise(() => {});
    const session = world.open();
    site.line.say(world.begin(session));
    await until(() => site.trainer.trained === 1);
    site.line.say(world.ended(session, outcome));
    expect(site.trainer.cancelled).toBe(1);
  });

  test("so does a round after it, when its end was missed", async () => {
    const [site] = (await ready(1)) as [Site];
    site.trainer.gate = new Promise(() => {});
    for (const round of [1, 2]) {
      site.line.say(world.begin(world.open({ round })));
      await until(() => site.trainer.trained === round);
    }
    expect(site.trainer.cancelled).toBe(1);
  });

  test("after a failed attempt training goes on for the next one", async () => {
    const sites = await ready(3);
    let finish = () => {};
    const gate = new Promise<void>((resolve) => (finish = resolve));
    for (const { trainer } of sites) trainer.gate = gate;
    const session = world.open();
    await new ByTheBook(world, session, layout.words).advertise(sites);
    await until(() => sites.every(({ trainer }) => trainer.trained === 1));
    for (const { line } of sites) line.say(world.ended(session, "failed"));
    const retry = new ByTheBook(world, world.open({ attempt: 1 }), layout.words);
    await retry.advertise(sites);
    finish();
    await retry.mask(sites, await retry.share(sites));
    expect(sites.map(({ trainer }) => trainer.trained)).toEqual([1, 1, 1]);
  });

  test("an invitation to another attempt takes the place of one that was never ended", async () => {
    const [site] = (await ready(1)) as [Site];
    const [old, now] = [world.open(), world.open({ attempt: 1 })];
    for (const session of [old, now]) {
      site.line.say(world.begin(session));
      await site.line.step("advertise-keys", session.sid);
    }
    site.line.say(world.announce(old, "roster", { entries: [] }));
    await until(() => site.logged.find(({ words }) => words === "ignored a late roster"));
  });
});
