/** The site's own account: durable, over plans and void rounds, and a limit that the coordinator cannot lift. */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import {
  checkBudget,
  memoryLedger,
  openPrivacyLedger,
  siteMechanism,
  usesOf,
} from "../../../client/policy/privacy-ledger.ts";
import { planRefusals } from "../../../client/policy/plan-policy.ts";
import { parseFederationConfig } from "../../../coordinator/config.ts";
import { federationConfig } from "../../../shared/config/federation.ts";
import { planOf } from "../../../shared/config/plan.ts";
import { sitePolicy } from "../../../shared/config/site.ts";
import type { Mechanism } from "../../../shared/privacy/mechanism.ts";
import { epsilonOf } from "../../../shared/privacy/mechanism.ts";
import { SessionWorld, type Site, type SiteOptions } from "../../fakes/session-world.ts";
import { ByTheBook } from "../../fakes/session-round.ts";
import { trainingLayout } from "../../../shared/secagg/vector-layout.ts";

const plan = (privacy: string) =>
  planOf(parseFederationConfig(`federation: test\nlabels: { scene: [a, b] }\nprivacy: ${privacy}`).config);

test("a site's cost follows from its own examples", () => {
  const terms = plan("{ unit: example, epsilon: 4, minExamples: 100 }");
  const cost = (examples: number) =>
    epsilonOf([{ mechanism: siteMechanism(terms, examples) as Mechanism, times: 20 }], 1e-5);
  expect(cost(100)).toBeLessThanOrEqual(4);
  expect(cost(400)).toBeLessThan(cost(100) / 2);
  expect(siteMechanism(plan("{ unit: none }"), 100)).toBeNull();
});

test("the ledger survives a restart, drops a torn line, and is not guessed at where it is damaged", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "ledger-")), "privacy.jsonl");
  const mechanism = siteMechanism(plan("{ unit: client }"), 10) as Mechanism;
  const first = await openPrivacyLedger(file);
  await first.append({ at: 1, round: 1, mechanism });
  await first.append({ at: 2, round: 1, mechanism });
  await writeFile(file, `${await readFile(file, "utf8")}{"at":3,"rou`);
  const again = await openPrivacyLedger(file);
  expect(usesOf(again.entries())).toEqual([{ mechanism, times: 2 }]);
  await writeFile(file, "what?\n");
  await expect(openPrivacyLedger(file)).rejects.toMatchObject({ code: "STORE_CORRUPT" });
});

test("the limit is the site's own or the plan's budget, whichever is first", () => {
  const terms = plan("{ unit: client, epsilon: 8 }");
  const mechanism = siteMechanism(terms, 10) as Mechanism;
  const spent = Array.from({ length: 20 }, (_, i) => ({ at: i, round: i, mechanism }));
  const none = { maxEpsilon: null, delta: 1e-5 };
  expect(() => checkBudget(terms, mechanism, spent.slice(1), none)).not.toThrow();
  expect(() => checkBudget(terms, mechanism, spent, none)).toThrow("privacy.budget of the plan");
  expect(() => checkBudget(terms, mechanism, spent.slice(5), { ...none, maxEpsilon: 4 })).toThrow(
    "policy.privacy.maxEpsilon",
  );
});

test("the site's limit has a delta of its own, whatever the plan's", () => {
  const loose = plan("{ unit: example, epsilon: 2, delta: 0.1, minExamples: 2000 }");
  const mechanism = siteMechanism(loose, 2000) as Mechanism;
  const site = sitePolicy.parse({ privacy: { maxEpsilon: 2 } });
  const [refusal, ...more] = planRefusals(site, loose);
  expect(more).toEqual([]);
  expect(refusal).toMatchObject({
    code: "POLICY_PRIVACY",
    details: { field: "policy.privacy.delta", expected: 1e-5, got: 0.1 },
  });
  // The noise is enough at the plan's delta only.
  const spent = Array.from({ length: 19 }, (_, i) => ({ at: i, round: i, mechanism }));
  expect(() => checkBudget(loose, mechanism, spent, { ...site.privacy, delta: 0.1 })).not.toThrow();
  expect(() => checkBudget(loose, mechanism, spent, site.privacy)).toThrow("at delta 0.00001, at most 2");
  expect(planRefusals(sitePolicy.parse({ privacy: { maxEpsilon: 2, delta: 0.1 } }), loose)).toEqual([]);
  // A stricter plan is counted at its own delta.
  const strict = plan("{ unit: example, epsilon: 2, delta: 1e-8, minExamples: 2000 }");
  const dear = siteMechanism(strict, 2000) as Mechanism;
  const cost = (delta: number) => epsilonOf([{ mechanism: dear, times: 20 }], delta);
  const between = (cost(1e-5) + cost(1e-8)) / 2;
  const used = Array.from({ length: 19 }, (_, i) => ({ at: i, round: i, mechanism: dear }));
  expect(() => checkBudget(strict, dear, used, { maxEpsilon: between, delta: 1e-5 })).toThrow("at delta 1e-8");
});

test("a plan that would cost more than the site allows is refused before anything runs", () => {
  const policy = (maxEpsilon: number) => sitePolicy.parse({ privacy: { maxEpsilon } });
  expect(planRefusals(policy(9), plan("{ unit: client, epsilon: 8 }"))).toEqual([]);
  const [refusal] = planRefusals(policy(3), plan("{ unit: client, epsilon: 8 }"));
  expect(refusal).toMatchObject({
    code: "POLICY_PRIVACY",
    details: { field: "policy.privacy.maxEpsilon", expected: 3 },
  });
  // A coordinator that promises a small epsilon with too little noise is not believed.
  const [lie] = planRefusals(policy(8), plan("{ unit: client, epsilon: 1, noiseMultiplier: 0.5, budget: 1 }"));
  expect(lie).toMatchObject({ code: "POLICY_PRIVACY" });
});

describe("a plan that promises privacy and names no noise", () => {
  const promised = (unit: "example" | "client") =>
    planOf(federationConfig.parse({ federation: "test", privacy: { unit, epsilon: 2 } }));

  test.each(["example", "client"] as const)("of unit %s is refused, whatever the site allows", (unit) => {
    for (const maxEpsilon of [null, 2, 1e6]) {
      const refusals = planRefusals(sitePolicy.parse({ privacy: { maxEpsilon } }), promised(unit));
      expect(refusals).toMatchObject([{ code: "POLICY_PRIVACY", details: { field: "privacy.noise" } }]);
    }
  });

  test.each(["example", "client"] as const)("of unit %s has no price", (unit) => {
    expect(() => siteMechanism(promised(unit), 500)).toThrow("names no noise");
  });
});

describe("a plan that reaches further than its noise is accounted for", () => {
  type Parts = Record<string, unknown>;
  const example: Parts = { unit: "example", noiseMultiplier: 60, minExamples: 2000 };
  const client: Parts = { unit: "client", noiseMultiplier: 200 };
  const sent = (privacy: Parts, over: Parts = {}) =>
    planOf(federationConfig.parse({ federation: "test", privacy, ...over }));
  const lenient = sitePolicy.parse({ privacy: { maxEpsilon: 8 }, minSurvivors: 3 });

  test("is allowed without such parts", () => {
    expect(planRefusals(lenient, sent(example))).toEqual([]);
    expect(planRefusals(lenient, sent(client))).toEqual([]);
  });

  test.each<[string, Parts, Parts]>([
    ["training.localEpochs", example, { training: { localEpochs: 100 } }],
    ["training.curriculum", example, { training: { curriculum: {} } }],
    ["training.semiSupervised", example, { training: { semiSupervised: {} } }],
    ["privacy.minExamples", { ...example, minExamples: 4 }, {}],
    ["strategy.name", example, { strategy: { name: "qfedavg" } }],
    ["strategy.name", client, { strategy: { name: "fednova" } }],
    ["strategy.name", client, { strategy: { name: "scaffold" } }],
    ["strategy.name", client, { strategy: { name: "feddyn" } }],
    [
      "secureAggregation.groups",
      client,
      { schedule: { minSurvivors: 30, cohort: { min: 40 } }, secureAggregation: { groups: {} } },
    ],
    ["aggregation.rule", client, { aggregation: { rule: "median" } }],
    ["clip.norm", client, { clip: { norm: 3 } }],
    ["privacy.colluders", { ...client, colluders: 3 }, {}],
  ])("is refused for %s", (field, privacy, over) => {
    const refusals = planRefusals(lenient, sent(privacy, over));
    expect(refusals).toMatchObject([{ code: "POLICY_PRIVACY", details: { field } }]);
    expect(planRefusals(sitePolicy.parse({}), sent(privacy, over))).toHaveLength(1);
  });

  test("an epoch costs every step that it takes", () => {
    const plan = sent(example, { training: { localEpochs: 100 } });
    expect(siteMechanism(plan, 2000)).toMatchObject({ steps: 25_000, rate: 8 / 2000 });
  });

  test("integers that are too coarse for the noise are refused, not thrown", () => {
    const coarse = sent({ unit: "client", noiseMultiplier: 1e-8 });
    const [refusal] = planRefusals(lenient, coarse);
    expect(refusal).toMatchObject({ code: "POLICY_PRIVACY", cause: { code: "CONFIG_HEADROOM" } });
  });
});

describe("a session under a plan with privacy", () => {
  let world: SessionWorld;
  const { words } = trainingLayout({ wordBits: 32, cohortMax: 8, coordinates: 42 });
  const privacy = { unit: "client", noiseMultiplier: 2, budget: 30 };
  afterEach(() => world.stop());

  async function ready(options: readonly SiteOptions[]): Promise<Site[]> {
    world = await SessionWorld.open(options.length, { privacy });
    const sites = options.map((option, i) => world.site(i, option));
    await Promise.all(sites.map((site) => world.ready(site)));
    return sites;
  }

  async function masked(sites: readonly Site[], session: ReturnType<SessionWorld["open"]>): Promise<void> {
    const book = new ByTheBook(world, session, words);
    await book.advertise(sites);
    await book.mask(sites, await book.share(sites));
  }

  test("spends for every noisy vector that leaves, also of attempts that failed and rounds that are void", async () => {
    const ledger = memoryLedger();
    const sites = await ready([{ ledger }, {}, {}]);
    const first = world.open();
    await masked(sites, first);
    for (const { line } of sites) line.say(world.ended(first, "failed"));
    const second = world.open({ attempt: 1 });
    await masked(sites, second);
    for (const { line } of sites) line.say(world.ended(second, "void"));
    expect(ledger.entries().map(({ round }) => round)).toEqual([1, 1]);
    expect(ledger.entries()[0]?.mechanism).toEqual(siteMechanism(planOf(world.config), 24));
  });

  test("a site beyond its own limit leaves with the coded reason and does not train; the others go on", async () => {
    const terms = plan("{ unit: client, noiseMultiplier: 2, budget: 30 }");
    const mechanism = siteMechanism(terms, 24) as Mechanism;
    const spent = memoryLedger(Array.from({ length: 200 }, (_, i) => ({ at: i, round: 0, mechanism })));
    const sites = await ready([{ ledger: spent }, {}, {}, {}]);
    const session = world.open();
    for (const { line } of sites) line.say(world.begin(session));
    const [broke] = sites as [Site];
    const { reason } = await broke.line.heard("decline");
    expect(reason.code).toBe("PRIVACY_BUDGET");
    expect(broke.trainer.trained).toBe(0);
    expect(broke.line.uploads.size).toBe(0);
    expect(spent.entries()).toHaveLength(200);
  });
});
