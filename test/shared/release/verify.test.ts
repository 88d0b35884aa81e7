import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadRelease } from "../../../client/model-cache/load-model-folder.ts";
import { publish } from "../../../coordinator/release/publish.ts";
import { hashOf } from "../../../shared/canonical.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { folderOnDisk, neighboursOnDisk } from "../../../shared/node/release-folder.ts";
import { deriveModel } from "../../../shared/quantize/model.ts";
import { signManifest, type Manifest } from "../../../shared/release/manifest.ts";
import { verifyRelease, type ReleaseFolder } from "../../../shared/release/verify.ts";
import { crypto, key, layout, World } from "../../fakes/release-world.ts";

const COUNTS = { cohort: 4, survivors: 4, evaluated: 0, examples: 40 };
let root: string;
let world: World;
/** Files of release 2, by path. */
let files: Map<string, Uint8Array>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "releases-"));
  const kept = await mkdtemp(join(tmpdir(), "kept-"));
  world = new World(3);
  await world.start();
  for (let version = 0; version <= 3; version++) {
    await world.commitUpTo(version);
    await publish(world.publishContext(root), { version, round: version, counts: COUNTS, evaluation: null });
    // What a keyframe makes needless is pruned; somebody may still have it.
    await cp(root, kept, { recursive: true });
  }
  await cp(kept, root, { recursive: true });
  await rm(kept, { recursive: true });
  const folder = folderOnDisk(join(root, "2"));
  files = new Map();
  for (const path of await folder.list()) files.set(path, Uint8Array.from((await folder.read(path)) as Uint8Array));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function memoryFolder(content: ReadonlyMap<string, Uint8Array>): ReleaseFolder {
  return { read: async (path) => content.get(path) ?? null, list: async () => [...content.keys()] };
}

function verify(folder: ReleaseFolder, trustedKey: Uint8Array | null = key.publicKey) {
  return verifyRelease(
    { crypto, compression: brotli, trustedKey, neighbour: neighboursOnDisk(join(root, "2")) },
    folder,
  );
}

describe("an intact release", () => {
  test("is rebuilt from the keyframe and the updates between, and its model derived", async () => {
    expect([...files.keys()].toSorted()).toEqual([
      "manifest.json",
      "model/model.json",
      "model/weights.bin",
      "update/update.bin.br",
    ]);
    const verified = await verify(memoryFolder(files));
    expect(verified).toMatchObject({ files: 3, params: "rebuilt", model: "derived", absent: [] });
    expect(verified.manifest.paramsHash).toBe(world.chain.link(2)?.paramsHash);
  });

  test("with a keyframe of its own needs no neighbour; without either, what can be checked is", async () => {
    const alone = (version: number) =>
      verifyRelease(
        { crypto, compression: brotli, trustedKey: null, neighbour: async () => null },
        folderOnDisk(join(root, String(version))),
      );
    expect(await alone(0)).toMatchObject({ params: "rebuilt", model: "none" });
    expect(await alone(3)).toMatchObject({ params: "rebuilt", model: "derived" });
    expect(await alone(2)).toMatchObject({ params: "no-keyframe-nearby", model: "hash-only" });
  });

  test("a site that keeps model/ alone is told what is not there", async () => {
    const model = new Map([...files].filter(([path]) => !path.startsWith("update/")));
    expect(await verify(memoryFolder(model))).toMatchObject({ absent: ["update/"], model: "hash-only" });
  });

  test("loads as it was scored, from the release folder and from model/ alone", async () => {
    const { params } = await world.chain.version(3);
    const loaded = await loadRelease(join(root, "3"));
    expect(loaded.params).toEqual(deriveModel(params, layout, "int8", []));
    expect(loaded).toMatchObject({ layout, seed: 7, config: { model: { name: "allulook4", preset: "nano" } } });
    expect((await loadRelease(join(root, "3", "model"))).params).toEqual(loaded.params);
    await expect(loadRelease(root)).rejects.toMatchObject({ code: "USAGE" });
    await expect(loadRelease(join(root, "0"))).rejects.toMatchObject({ code: "USAGE" });
  });
});

describe("an altered release", () => {
  test("any flipped bit in any file is caught with a RELEASE code", async () => {
    const paths = [...files.keys()];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        async (path, place, bit) => {
          const bytes = (files.get(path) as Uint8Array).slice();
          const at = place % bytes.length;
          bytes[at] = (bytes[at] as number) ^ (1 << bit);
          const verified = verify(memoryFolder(new Map([...files, [path, bytes]])), null);
          await expect(verified).rejects.toMatchObject({ code: expect.stringMatching(/^RELEASE_/) });
        },
      ),
      { numRuns: 400 },
    );
  });

  test("every byte of manifest.json counts", async () => {
    const manifest = files.get("manifest.json") as Uint8Array;
    for (let at = 0; at < manifest.length; at++) {
      const bytes = manifest.slice();
      bytes[at] = (bytes[at] as number) ^ 0x20;
      const verified = verify(memoryFolder(new Map([...files, ["manifest.json", bytes]])), null);
      await expect(verified).rejects.toMatchObject({ code: expect.stringMatching(/^RELEASE_(MANIFEST|SIGNATURE)$/) });
    }
  });

  test("cut, lengthened, missing and foreign files are caught and named", async () => {
    for (const path of files.keys()) {
      if (path === "manifest.json") continue;
      const bytes = files.get(path) as Uint8Array;
      for (const other of [
        bytes.subarray(1),
        bytes.subarray(0, -1),
        Uint8Array.from([...bytes, 0]),
        new Uint8Array(),
      ]) {
        const verified = verify(memoryFolder(new Map([...files, [path, other]])));
        await expect(verified).rejects.toMatchObject({ code: "RELEASE_FILE", details: { file: path } });
      }
    }
    const missing = new Map(files);
    missing.delete("model/weights.bin");
    await expect(verify(memoryFolder(missing))).rejects.toMatchObject({ code: "RELEASE_FILE" });
    const foreign = new Map([...files, ["model/extra.bin", new Uint8Array(1)]]);
    await expect(verify(memoryFolder(foreign))).rejects.toMatchObject({ code: "RELEASE_FILE" });
    await expect(verify(memoryFolder(new Map()))).rejects.toMatchObject({ code: "RELEASE_MANIFEST" });
  });

  test("another key than the coordinator's is caught when the person gives the coordinator's", async () => {
    const other = crypto.signingKey(new Uint8Array(32).fill(9));
    const forged = resign({}, other);
    await expect(verify(memoryFolder(forged))).rejects.toMatchObject({ code: "RELEASE_SIGNATURE" });
  });

  test("a coordinator's own lie, well signed, is caught by rebuilding", async () => {
    const hash = hashOf("another model") as Manifest["paramsHash"];
    await expect(verify(memoryFolder(resign({ paramsHash: hash })))).rejects.toMatchObject({ code: "RELEASE_PARAMS" });
    await expect(verify(memoryFolder(resign({ parentHash: hash })))).rejects.toMatchObject({ code: "RELEASE_CHAIN" });
    const model = (JSON.parse(text("manifest.json")) as Manifest).model as NonNullable<Manifest["model"]>;
    const lie = { model: { ...model, fallbacks: [{ tensor: "kernel", dtype: "fp16" as const }] } };
    await expect(verify(memoryFolder(resign(lie)))).rejects.toMatchObject({ code: "RELEASE_MODEL" });
  });

  function text(path: string): string {
    return new TextDecoder().decode(files.get(path));
  }

  /** Release 2 with a changed manifest, signed anew. */
  function resign(change: Partial<Manifest>, by = key): Map<string, Uint8Array> {
    const {
      signature: _s,
      signedBy: _k,
      ...fields
    } = { ...(JSON.parse(text("manifest.json")) as Manifest), ...change };
    return new Map([...files, ["manifest.json", signManifest(by, fields).bytes]]);
  }
});

test("a neighbour that was altered is caught, too", async () => {
  const copy = await mkdtemp(join(tmpdir(), "releases-"));
  try {
    await cp(root, copy, { recursive: true });
    const keyframe = join(copy, "0", "keyframe", "keyframe.bin.br");
    const bytes = (await folderOnDisk(join(copy, "0")).read("keyframe/keyframe.bin.br")) as Uint8Array;
    await writeFile(keyframe, bytes.with(100, (bytes[100] as number) ^ 1));
    const verified = verifyRelease(
      { crypto, compression: brotli, trustedKey: null, neighbour: neighboursOnDisk(join(copy, "2")) },
      folderOnDisk(join(copy, "2")),
    );
    await expect(verified).rejects.toMatchObject({
      code: "RELEASE_FILE",
      details: { file: "keyframe/keyframe.bin.br" },
    });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
});
