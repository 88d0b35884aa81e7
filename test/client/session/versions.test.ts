import { afterEach, describe, expect, test } from "@jest/globals";
import type { Judge } from "../../../client/model-cache/install.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { layoutHashOf } from "../../../shared/quantize/pack.ts";
import { signManifest, type UnsignedManifest } from "../../../shared/release/manifest.ts";
import { sha256Of } from "../../../shared/release/ports.ts";
import type { SigningKey } from "../../../shared/secagg/crypto-port.ts";
import type { ChainLink } from "../../../shared/wire/release.ts";
import { ByTheBook } from "../../fakes/session-round.ts";
import { SessionWorld, until, type Site } from "../../fakes/session-world.ts";
import { evaluationLayout } from "../../../shared/secagg/evaluation-vector.ts";

let world: SessionWorld;
afterEach(() => world.stop());

async function commit(version: number): Promise<ChainLink> {
  const { length } = world.chain.options.layout;
  await world.chain.commit(version, new Float32Array(length).fill(0.125 + 0.01 * version));
  return world.chain.newest?.link as ChainLink;
}

/** The manifest of the newest version, published unless it is only to be shown. */
function manifest(changes: Partial<UnsignedManifest> = {}, key: SigningKey = world.fed.coordinator) {
  const link = world.chain.newest?.link as ChainLink;
  const { bytes } = signManifest(key, {
    format: 1,
    federation: link.federation,
    name: "test",
    version: link.version,
    round: link.version,
    parentHash: link.parentHash,
    paramsHash: link.paramsHash,
    params: world.chain.options.layout.length,
    layoutHash: layoutHashOf(world.chain.options.layout),
    configHash: link.configHash,
    counts: { cohort: 3, survivors: 3, evaluated: 0, examples: 72 },
    metrics: {},
    evaluation: "unevaluated",
    drops: { segmentation: null, detection: null, depth: null, scene: null },
    model: null,
    updateBytes: 0,
    files: [],
    ...changes,
  });
  world.manifests.set(link.version, bytes);
  const released = {
    type: "released",
    version: link.version,
    manifestHash: sha256Of(world.fed.crypto, bytes),
  } as const;
  return released;
}

async function readySite(): Promise<Site> {
  world = await SessionWorld.open(3);
  const site = world.site(0);
  await world.ready(site);
  return site;
}

const failures = (site: Site) => site.logged.filter(({ level }) => level === "error").map(({ code }) => code);

describe("versions", () => {
  test("a release is scored here first, then installed and reported; the score stays here", async () => {
    const site = await readySite();
    const link = await commit(1);
    site.line.say({ type: "committed", link });
    site.line.say(manifest());
    const installed = await site.line.heard("installed");
    expect(installed).toEqual({ type: "installed", version: 1, paramsHash: link.paramsHash });
    expect(site.scores).toMatchObject([{ version: 1, paramsHash: link.paramsHash, of: "params", samples: 6 }]);
    expect(Object.keys(site.scores[0]?.metrics ?? {})).toContain("segmentation");
    expect(JSON.stringify(site.line.sent)).not.toContain("metrics");
    // Said again, it changes nothing.
    site.line.say(manifest());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(site.line.sent.filter(({ type }) => type === "installed")).toHaveLength(1);
    expect(failures(site)).toEqual([]);
  });

  test("nothing is switched on before it has been scored", async () => {
    world = await SessionWorld.open(1);
    const order: string[] = [];
    const site: Site = world.site(0, {
      install: async (_manifest: Uint8Array, judge: Judge) => {
        const model = new Float32Array(world.chain.options.layout.length).fill(0.5);
        order.push(`scores ${site.scores.length}`);
        const wanted = await judge({ manifest: null as never, model });
        order.push(`scores ${site.scores.length}`, `wanted ${wanted}`);
      },
    });
    await world.ready(site);
    await commit(1);
    const model = {
      builder: "allulook4",
      preset: "nano",
      dtype: "int8",
      fallbacks: [],
      sizeBytes: 1,
      fp32SizeBytes: 4,
    };
    site.line.say(manifest({ model: model as UnsignedManifest["model"] }));
    await site.line.heard("installed");
    expect(order).toEqual(["scores 0", "scores 1", "wanted true"]);
    expect(site.scores[0]).toMatchObject({ version: 1, of: "model" });
  });

  test("what was scored for the federation is not scored again at the release", async () => {
    world = await SessionWorld.open(3);
    const sites = [0, 1, 2].map((i) => world.site(i));
    await Promise.all(sites.map((site) => world.ready(site)));
    await commit(1);
    const [site] = sites as [Site, Site, Site];
    const { words } = evaluationLayout({ wordBits: 32, cohortMax: 8, counters: site.trainer.statistics.length });
    await new ByTheBook(world, world.open({ purpose: "evaluation" }), words).sum(sites);
    expect(site.trainer.evaluated).toBe(2);
    site.line.say(manifest());
    await site.line.heard("installed");
    expect(site.trainer.evaluated).toBe(2);
  });

  test("a site that was away fetches the newest release by itself and goes on", async () => {
    world = await SessionWorld.open(1);
    for (const version of [1, 2, 3]) await commit(version);
    manifest();
    const site = world.site(0);
    await world.ready(site);
    expect(await site.line.heard("installed")).toMatchObject({ version: 3 });
    const session = world.open();
    site.line.say(world.begin(session));
    await site.line.step("advertise-keys", session.sid);
    await until(() => site.trainer.trained === 1);
  });

  test("a version whose release is not published yet is fetched all the same, and no error", async () => {
    const site = await readySite();
    await until(() => site.line.downloads === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(failures(site)).toEqual([]);
    expect(site.scores).toEqual([]);
  });

  test.each<[string, string, () => Parameters<Site["line"]["say"]>[0]]>([
    [
      "bytes that are not those announced",
      "WIRE_HASH",
      () => ({ ...manifest(), manifestHash: "e".repeat(64) as Sha256 }),
    ],
    ["another key's signature", "RELEASE_SIGNATURE", () => manifest({}, world.fed.authority)],
    ["the manifest of another version", "RELEASE_MANIFEST", () => manifest({ version: 7 })],
    [
      "the manifest of another federation",
      "RELEASE_MANIFEST",
      () => manifest({ federation: "a".repeat(64) as Sha256 }),
    ],
    [
      "params that the chain does not lead to",
      "RELEASE_CHAIN",
      () => manifest({ paramsHash: "b".repeat(64) as Sha256 }),
    ],
  ])("%s: %s, and what was installed stays", async (_what, code, message) => {
    const site = await readySite();
    await commit(1);
    site.line.say(message());
    await until(() => failures(site)[0]);
    expect(failures(site)).toEqual([code]);
    expect(site.scores).toEqual([]);
    expect(site.line.sent.filter(({ type }) => type === "installed")).toEqual([]);
    // The session goes on.
    const session = world.open();
    site.line.say(world.begin(session));
    await site.line.step("advertise-keys", session.sid);
  });

  test("a link that the coordinator did not sign is not followed", async () => {
    const site = await readySite();
    const link = await commit(1);
    site.line.say({ type: "committed", link: { ...link, paramsHash: "c".repeat(64) as Sha256 } });
    await until(() => failures(site)[0]);
    expect(failures(site)).toEqual(["RELEASE_SIGNATURE"]);
  });

  test("the end of the federation waits for the last release", async () => {
    const site = await readySite();
    await commit(1);
    site.line.say(manifest());
    site.line.say({ type: "stopped", reason: "20 rounds are completed" });
    expect(await site.session.finished).toBe("20 rounds are completed");
    expect(site.line.sent.at(-1)).toMatchObject({ type: "installed", version: 1 });
  });
});
