import { describe, expect, test } from "@jest/globals";
import { publish } from "../../../coordinator/release/publish.ts";
import { chainLink } from "../../../shared/wire/release.ts";
import { checkLink } from "../../../shared/release/link.ts";
import { CONFIG_HASH, crypto, FEDERATION, key, serverParams, World } from "../../fakes/release-world.ts";

async function world(keyframeEvery: number, versions: number): Promise<World> {
  const made = new World(keyframeEvery);
  await made.start();
  await made.commitUpTo(versions);
  return made;
}

describe("commit", () => {
  test("version 0 is the initial params themselves, with a keyframe and no update", async () => {
    const { chain } = await world(4, 0);
    expect(chain.newest?.params).toEqual(serverParams(0));
    expect(chain.newest?.link).toMatchObject({ version: 0, parentHash: null, update: null, configHash: CONFIG_HASH });
    expect(chain.newest?.link.keyframe).not.toBeNull();
  });

  test("links are signed, follow each other, and have a keyframe every keyframeEvery versions", async () => {
    const { chain } = await world(3, 7);
    const links = Array.from({ length: 8 }, (_, v) => chainLink.parse(chain.link(v)));
    for (const link of links) checkLink(crypto, key.publicKey, FEDERATION, link);
    links.slice(1).forEach((link, i) => expect(link.parentHash).toBe(links[i]?.paramsHash));
    expect(links.filter((link) => link.keyframe !== null).map((link) => link.version)).toEqual([0, 3, 6]);
  });

  test("every field of a link is under the signature", async () => {
    const { chain } = await world(3, 1);
    const link = chain.link(1) as NonNullable<ReturnType<typeof chain.link>>;
    const other = "0".repeat(64);
    const changes = {
      federation: other,
      version: 2,
      parentHash: null,
      paramsHash: other,
      configHash: other,
      update: null,
      keyframe: link.update,
      fallbacks: [{ tensor: "kernel", dtype: "fp16" }],
      signature: `A${link.signature.slice(1)}`,
    };
    expect(Object.keys(changes).toSorted()).toEqual(Object.keys(link).toSorted());
    for (const change of Object.entries(changes)) {
      const lie = { ...link, ...Object.fromEntries([change]) };
      expect(() => checkLink(crypto, key.publicKey, FEDERATION, lie)).toThrow(
        expect.objectContaining({ code: "RELEASE_SIGNATURE" }),
      );
    }
  });

  test("R stays within one round's quantization of S", async () => {
    const { chain } = await world(50, 40);
    const exact = serverParams(40);
    const worst = Math.max(...exact.map((value, i) => Math.abs(value - (chain.newest?.params[i] as number))));
    expect(worst).toBeLessThan(0.002);
  });

  test("committing again gives the same version, also after a restart", async () => {
    const made = await world(3, 5);
    const before = made.chain.newest;
    const chain = await made.start();
    expect(chain.newest).toEqual(before);
    expect(await chain.commit(5, serverParams(5))).toEqual(before);
    expect((await chain.commit(4, serverParams(9))).link).toEqual(chain.link(4));
    expect(made.records.size).toBe(6);
  });

  test("a version that nobody was told of gives way to another, also where it is a keyframe", async () => {
    for (const version of [5, 6]) {
      const made = await world(3, version);
      const chain = await made.start();
      const before = await chain.version(version - 1);
      const other = await chain.commit(version, serverParams(9));
      expect(other.link.parentHash).toBe(before.link.paramsHash);
      expect(chain.newest).toEqual(other);
      expect((await made.start()).newest).toEqual(other);
      await chain.commit(version + 1, serverParams(10));
      expect((await made.start()).newest?.version).toBe(version + 1);
      expect(made.records.size).toBe(version + 2);
    }
  });

  test("a released version never changes", async () => {
    const made = await world(3, 4);
    const counts = { cohort: 3, survivors: 3, evaluated: 0, examples: 9 };
    await publish(made.publishContext(null), { version: 4, round: 4, counts, evaluation: null });
    const before = made.chain.newest;
    expect(await made.chain.commit(4, serverParams(9))).toEqual(before);
  });

  test("a commit killed before its record leaves the version before; repeated, it gives the bits of an undisturbed run", async () => {
    const made = await world(3, 4);
    made.dieBeforeVersion = true;
    await expect(made.chain.commit(5, serverParams(5))).rejects.toThrow("killed");
    made.dieBeforeVersion = false;
    const chain = await made.start();
    expect(chain.newest?.version).toBe(4);
    const again = await chain.commit(5, serverParams(5));
    expect(again).toEqual((await world(3, 5)).chain.newest);
  });

  test("a version out of turn and params that are not finite are refused; nothing is recorded", async () => {
    const made = await world(3, 1);
    await expect(made.chain.commit(3, serverParams(3))).rejects.toMatchObject({ code: "RELEASE_CHAIN" });
    const bad = serverParams(2);
    bad[3] = Number.NaN;
    await expect(made.chain.commit(2, bad)).rejects.toMatchObject({ code: "UPDATE_NOT_FINITE" });
    await expect(made.chain.commit(2, bad.subarray(1))).rejects.toMatchObject({ code: "PARAMS_SHAPE" });
    const empty = new World(3);
    await empty.start();
    await expect(empty.chain.commit(0, bad)).rejects.toMatchObject({ code: "UPDATE_NOT_FINITE" });
    expect([made.records.size, empty.records.size]).toEqual([2, 0]);
  });
});

describe("retention", () => {
  test("keeps the newest keyframe, its update and every update after it", async () => {
    const made = await world(3, 7);
    const kept = [6, 7].flatMap((v) => [made.chain.link(v)?.update, made.chain.link(v)?.keyframe]);
    const hashes = kept.flatMap((ref) => (ref === null || ref === undefined ? [] : [ref.sha256]));
    expect([...made.blobs.keys()].toSorted()).toEqual(hashes.toSorted());
    await expect(made.chain.version(5)).rejects.toMatchObject({ code: "RELEASE_CHAIN" });
  });

  test("before a keyframe is settled its parents stay, afterwards they go", async () => {
    const made = await world(3, 6);
    const chain = await made.start();
    expect((await chain.version(5)).version).toBe(5);
    await chain.settle(5);
    expect((await chain.version(5)).version).toBe(5);
    await chain.settle(6);
    await expect(chain.version(5)).rejects.toMatchObject({ code: "RELEASE_CHAIN" });
    expect(chain.oldest).toBe(6);
  });

  test("versions that share their bytes lose none", async () => {
    const made = new World(2);
    const chain = await made.start();
    for (let version = 0; version <= 5; version++) await chain.commit(version, serverParams(0));
    expect((await made.start()).newest?.params).toEqual(serverParams(0));
  });
});

describe("linksAfter", () => {
  test("leads from wherever a client is to the newest version", async () => {
    const { chain } = await world(4, 10);
    const versions = (after: number) => chain.linksAfter(after).map((link) => link.version);
    expect(versions(-1)).toEqual([8, 9, 10]);
    expect(versions(2)).toEqual([8, 9, 10]);
    expect(versions(7)).toEqual([8, 9, 10]);
    expect(versions(8)).toEqual([9, 10]);
    expect(versions(10)).toEqual([]);
    expect(versions(99)).toEqual([8, 9, 10]);
  });
});
