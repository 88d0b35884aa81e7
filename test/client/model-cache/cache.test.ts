import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelCache, type ModelCacheOptions } from "../../../client/model-cache/cache.ts";
import { FileParamStore } from "../../../client/model-cache/store.ts";
import { signLink } from "../../../shared/release/link.ts";
import type { ChainLink } from "../../../shared/wire/release.ts";
import { crypto, key, World } from "../../fakes/release-world.ts";

const signal = new AbortController().signal;
let world: World;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "model-cache-"));
  world = new World(4);
  await world.start();
  await world.commitUpTo(1);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function cacheWith(change: Partial<ModelCacheOptions> = {}): ModelCache {
  return new ModelCache({ ...world.clientOptions(), store: new FileParamStore(folder), ...change });
}

async function ensureNewest(cache: ModelCache): Promise<Float32Array> {
  const { version, link } = world.chain.newest as NonNullable<typeof world.chain.newest>;
  return cache.ensure(version, link.paramsHash, signal);
}

describe("ensure", () => {
  test("a newcomer takes the keyframe; then each version is one update", async () => {
    const cache = cacheWith();
    expect(await ensureNewest(cache)).toEqual(world.chain.newest?.params);
    expect(world.downloads).toBe(2);
    for (let version = 2; version <= 9; version++) {
      await world.commitUpTo(version);
      expect(await ensureNewest(cache)).toEqual(world.chain.newest?.params);
      expect(world.downloads).toBe(version + 1);
    }
    await ensureNewest(cache);
    expect(world.downloads).toBe(10);
  });

  test("what was given out is not written to by later versions", async () => {
    const cache = cacheWith();
    const first = await ensureNewest(cache);
    const copy = first.slice();
    await world.commitUpTo(3);
    await ensureNewest(cache);
    expect(first).toEqual(copy);
  });

  test("after days away it takes the newest keyframe and goes on", async () => {
    await ensureNewest(cacheWith());
    await world.commitUpTo(11);
    world.downloads = 0;
    expect(await ensureNewest(cacheWith())).toEqual(world.chain.newest?.params);
    expect(world.downloads).toBe(4);
  });

  test("offline it gives what is installed, the version before included", async () => {
    const cache = cacheWith();
    const first = await ensureNewest(cache);
    const { link } = world.chain.newest as NonNullable<typeof world.chain.newest>;
    await world.commitUpTo(2);
    const second = await ensureNewest(cache);
    world.offline = true;
    const restarted = cacheWith();
    expect((await restarted.installed())?.params).toEqual(second);
    expect(await ensureNewest(restarted)).toEqual(second);
    expect(await restarted.ensure(1, link.paramsHash, signal)).toEqual(first);
    await expect(restarted.ensure(3, link.paramsHash, signal)).rejects.toMatchObject({ code: "AUTH_REFUSED" });
  });

  test("a round that changed nothing costs no download and no copy", async () => {
    const cache = cacheWith();
    const before = await ensureNewest(cache);
    await world.chain.commit(2, before);
    world.downloads = 0;
    expect(await ensureNewest(cache)).toBe(before);
    expect([world.downloads, (await cache.installed())?.link.version]).toEqual([0, 2]);
    expect((await cacheWith().installed())?.link.version).toBe(2);
  });

  test("calls at the same time are one download", async () => {
    const cache = cacheWith();
    await Promise.all([ensureNewest(cache), ensureNewest(cache), ensureNewest(cache)]);
    expect(world.downloads).toBe(2);
  });

  test("a coordinator restored from a backup leads on from its keyframe", async () => {
    const cache = cacheWith();
    await world.commitUpTo(3);
    await ensureNewest(cache);
    const restored = new World(4);
    await restored.start();
    await restored.commitUpTo(1);
    for (const version of [2, 3])
      await restored.chain.commit(version, new Float32Array(restored.options.layout.length));
    Object.assign(world, { chain: restored.chain, blobs: restored.blobs });
    expect(await ensureNewest(cache)).toEqual(restored.chain.newest?.params);
  });
});

describe("what lies on disk", () => {
  test("altered or missing bytes are never used: the version before is, or it is fetched again", async () => {
    const cache = cacheWith();
    const first = await ensureNewest(cache);
    await world.commitUpTo(2);
    const second = await ensureNewest(cache);
    const newest = join(folder, `${world.chain.newest?.link.paramsHash}.params`);
    const bytes = await readFile(newest);
    bytes[17] = (bytes[17] as number) ^ 1;
    await writeFile(newest, bytes);
    expect((await cacheWith().installed())?.params).toEqual(first);
    expect(await ensureNewest(cacheWith())).toEqual(second);
    for (const damage of ["", "{", '{"format":1,"installed":[{}]}']) {
      await writeFile(join(folder, "installed.json"), damage);
      expect(await ensureNewest(cacheWith())).toEqual(second);
    }
  });

  test("killed at any point of an install, the old version or the new one is there, and the next install goes through", async () => {
    const cache = cacheWith();
    const first = await ensureNewest(cache);
    const stateBefore = await readFile(join(folder, "installed.json"));
    await world.commitUpTo(2);
    const second = await ensureNewest(cache);
    const stateAfter = await readFile(join(folder, "installed.json"));
    const bytes = (version: number) => join(folder, `${world.chain.link(version)?.paramsHash}.params`);
    const newBytes = await readFile(bytes(2));
    const leave = async (
      state: Buffer,
      params: Buffer | null,
      temporary: Buffer | null,
    ): Promise<Float32Array | undefined> => {
      await writeFile(join(folder, "installed.json"), state);
      await rm(bytes(2), { force: true });
      if (params !== null) await writeFile(bytes(2), params);
      if (temporary !== null) await writeFile(`${bytes(2)}.0123456789ab.tmp`, temporary);
      return (await cacheWith().installed())?.params;
    };
    expect(await leave(stateBefore, null, newBytes.subarray(0, 99))).toEqual(first);
    expect(await leave(stateBefore, newBytes, null)).toEqual(first);
    // A disk that lost power may keep the name of a file and lose its bytes.
    expect(await leave(stateAfter, newBytes.subarray(0, 99), null)).toEqual(first);
    expect(await leave(stateAfter, newBytes, newBytes)).toEqual(second);
    await world.commitUpTo(3);
    expect(await ensureNewest(cacheWith())).toEqual(world.chain.newest?.params);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("keeps two versions and removes the rest and what killed writers left", async () => {
    const cache = cacheWith();
    await ensureNewest(cache);
    await writeFile(join(folder, "x.params.abc.tmp"), "half");
    for (const version of [2, 3, 4]) {
      await world.commitUpTo(version);
      await ensureNewest(cache);
    }
    const names = await readdir(folder);
    const kept = [3, 4].map((version) => `${world.chain.link(version)?.paramsHash}.params`);
    expect(names.toSorted()).toEqual([...kept, "installed.json"].toSorted());
  });
});

describe("a coordinator that lies", () => {
  const lies: [string, string, (link: ChainLink) => ChainLink][] = [
    [
      "an unsigned change",
      "RELEASE_SIGNATURE",
      (link) => ({ ...link, configHash: "0".repeat(64) as ChainLink["configHash"] }),
    ],
    [
      "another federation",
      "RELEASE_CHAIN",
      (link) => resign({ ...link, federation: "0".repeat(64) as ChainLink["federation"] }),
    ],
    [
      "another parent",
      "RELEASE_CHAIN",
      (link) => resign({ ...link, parentHash: "0".repeat(64) as ChainLink["parentHash"] }),
    ],
    ["no update", "RELEASE_CHAIN", (link) => resign({ ...link, update: null })],
    [
      "a keyframe as update",
      "RELEASE_FORMAT",
      (link) => resign({ ...link, update: world.chain.link(0)?.keyframe ?? null }),
    ],
    ["an older update", "RELEASE_PARAMS", (link) => resign({ ...link, update: world.chain.link(1)?.update ?? null })],
  ];
  function resign(link: ChainLink): ChainLink {
    const { signature: _, ...fields } = link;
    return signLink(key, fields);
  }

  test.each(lies)("%s is refused with %s, and nothing is installed", async (_what, code, lie) => {
    const cache = cacheWith();
    const first = await ensureNewest(cache);
    await world.commitUpTo(2);
    const { transport } = world.clientOptions();
    const lying = cacheWith({
      transport: {
        ...transport,
        chain: async (after, s) => (await transport.chain(after, s)).map((l) => (l.version === 2 ? lie(l) : l)),
      },
    });
    await expect(ensureNewest(lying)).rejects.toMatchObject({ code });
    expect((await cacheWith().installed())?.params).toEqual(first);
  });

  test("another coordinator's key is refused", async () => {
    const other = crypto.signingKey(new Uint8Array(32).fill(8)).publicKey;
    await expect(ensureNewest(cacheWith({ coordinatorKey: other }))).rejects.toMatchObject({
      code: "RELEASE_SIGNATURE",
    });
  });

  test("a small download that unpacks to gigabytes is refused", async () => {
    const bomb = await world.options.compression.compress(new Uint8Array(64 * 1024 * 1024));
    const { transport } = world.clientOptions();
    const cache = cacheWith({ transport: { ...transport, download: async () => bomb } });
    await expect(ensureNewest(cache)).rejects.toMatchObject({ code: "RELEASE_FORMAT" });
  });
});
