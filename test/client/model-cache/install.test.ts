import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelCache } from "../../../client/model-cache/cache.ts";
import { activeRelease, installRelease, type Judge } from "../../../client/model-cache/install.ts";
import { decodePersonal, encodePersonal } from "../../../client/model-cache/personal.ts";
import { loadRelease } from "../../../client/model-cache/load-model-folder.ts";
import { publish } from "../../../coordinator/release/publish.ts";
import { brotli } from "../../../shared/node/brotli.ts";
import { folderOnDisk } from "../../../shared/node/release-folder.ts";
import { layoutOf } from "../../../shared/params/layout.ts";
import { deriveModel } from "../../../shared/quantize/model.ts";
import { sha256Of } from "../../../shared/release/ports.ts";
import { readManifest, signManifest, type Manifest } from "../../../shared/release/manifest.ts";
import { verifyRelease } from "../../../shared/release/verify.ts";
import { crypto, key, layout, World } from "../../fakes/release-world.ts";

const signal = new AbortController().signal;
const COUNTS = { cohort: 4, survivors: 4, evaluated: 0, examples: 40 };
let world: World;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "install-"));
  world = new World(4);
  await world.start();
  await world.commitUpTo(0);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function release(version: number): Promise<Uint8Array> {
  await world.commitUpTo(version);
  const context = world.publishContext(null);
  return (await publish(context, { version, round: version, counts: COUNTS, evaluation: null })).bytes;
}

function install(bytes: Uint8Array, judge: Judge | null = null, change: object = {}) {
  const cache = new ModelCache({ ...world.clientOptions(), ...change });
  return installRelease({ cache, folder, plan: world.publishContext(null).config }, bytes, judge, signal);
}

describe("installing a release", () => {
  test("derives model/ here, scores it, and switches it on; the one before stays", async () => {
    const seen: [number, Float32Array][] = [];
    const judge: Judge = async ({ manifest, model }) => seen.push([manifest.version, model]) > 0;
    for (const version of [1, 2, 3]) {
      world.downloads = 0;
      expect((await install(await release(version), judge)).outcome).toBe("active");
      const { params } = await world.chain.version(version);
      expect(seen.at(-1)).toEqual([version, deriveModel(params, layout, "int8", [])]);
      expect((await loadRelease(join(folder, String(version)))).params).toEqual(seen.at(-1)?.[1]);
    }
    expect(await activeRelease(folder)).toMatchObject({ active: 3, previous: 2 });
    expect((await readdir(folder)).toSorted()).toEqual(["2", "3", "active.json"]);
  });

  test("what it writes passes release verify", async () => {
    await install(await release(1));
    const context = { crypto, compression: brotli, trustedKey: key.publicKey, neighbour: async () => null };
    const verified = await verifyRelease(context, folderOnDisk(join(folder, "1")));
    expect(verified).toMatchObject({ model: "hash-only", absent: ["update/"] });
  });

  test("a release that the site's scores speak against is not switched on", async () => {
    await install(await release(1));
    const { outcome, state } = await install(await release(2), async () => false);
    expect([outcome, state]).toEqual(["rejected", { format: 1, active: 1, previous: null, rejected: 2 }]);
    expect((await readdir(folder)).toSorted()).toEqual(["1", "active.json"]);
  });

  test("a judge that fails leaves the one before in use", async () => {
    await install(await release(1));
    const failing = install(await release(2), async () => {
      throw new Error("no memory");
    });
    await expect(failing).rejects.toThrow("no memory");
    expect(await activeRelease(folder)).toMatchObject({ active: 1, previous: null });
  });

  test("installing again changes nothing, and a release without model/ is none to install", async () => {
    const bytes = await release(1);
    await install(bytes);
    expect((await install(bytes)).outcome).toBe("unchanged");
    const fresh = new World(4);
    await fresh.start();
    world = fresh;
    expect((await install(await release(0))).outcome).toBe("unchanged");
  });
});

describe("where sites keep something for themselves", () => {
  const withPersonal = () => {
    const context = world.publishContext(null);
    const training = { ...context.config.training, personal: ["norms" as const], trainable: "heads" as const };
    const base = Uint8Array.of(1, 2, 3);
    const model = { ...context.config.model, base: { sha256: sha256Of(crypto, base), bytes: base.length } };
    return { ...context, base, config: { ...context.config, training, model } };
  };
  const own = layoutOf([{ name: "norm/scale", shape: [2] }]);

  async function both(version: number): Promise<void> {
    await world.commitUpTo(version);
    const context = withPersonal();
    const { bytes } = await publish(context, { version, round: 10 + version, counts: COUNTS, evaluation: null });
    const cache = new ModelCache(world.clientOptions());
    const personal = async (round: number) => encodePersonal(own, Float32Array.of(round, -round));
    await installRelease({ cache, folder, plan: context.config, base: context.base, personal }, bytes, null, signal);
  }

  test("what belongs to the release's round lies beside it, and goes with it; the release itself is as it was signed", async () => {
    for (const version of [1, 2, 3]) await both(version);
    expect((await readdir(join(folder, "personal"))).toSorted()).toEqual(["2.personal", "3.personal"]);
    expect(decodePersonal(await readFile(join(folder, "personal", "3.personal"))).params).toEqual(
      Float32Array.of(13, -13),
    );
    const context = { crypto, compression: brotli, trustedKey: key.publicKey, neighbour: async () => null };
    expect(await verifyRelease(context, folderOnDisk(join(folder, "3")))).toMatchObject({ model: "hash-only" });
    expect(await readdir(join(folder, "3", "model"))).toContain("base.bin");
  });
});

describe("a release that is not right is refused", () => {
  test.each<[string, string, (fields: Manifest) => Partial<Manifest>]>([
    ["for another federation", "RELEASE_MANIFEST", () => ({ federation: "0".repeat(64) as Manifest["federation"] })],
    ["with other params", "RELEASE_CHAIN", () => ({ paramsHash: "0".repeat(64) as Manifest["paramsHash"] })],
    [
      "with another model",
      "RELEASE_MODEL",
      ({ files }) => ({ files: files.map((file) => ({ ...file, sha256: "0".repeat(64) as Manifest["paramsHash"] })) }),
    ],
    [
      "with fallbacks that the model was not made with",
      "RELEASE_MODEL",
      ({ model }) => ({
        model: { ...(model as NonNullable<Manifest["model"]>), fallbacks: [{ tensor: "head", dtype: "fp16" }] },
      }),
    ],
  ])("%s: %s", async (_what, code, lie) => {
    await install(await release(1));
    const { signature: _s, signedBy: _k, ...fields } = readManifest(crypto, await release(2), null);
    const { bytes } = signManifest(key, { ...fields, ...lie({ ...fields } as Manifest) });
    await expect(install(bytes)).rejects.toMatchObject({ code });
    expect(await activeRelease(folder)).toMatchObject({ active: 1 });
  });

  test("signed by another key: RELEASE_SIGNATURE", async () => {
    const { signature: _s, signedBy: _k, ...fields } = readManifest(crypto, await release(1), null);
    const { bytes } = signManifest(crypto.signingKey(new Uint8Array(32).fill(3)), fields);
    await expect(install(bytes)).rejects.toMatchObject({ code: "RELEASE_SIGNATURE" });
    await expect(install(new Uint8Array([123]))).rejects.toMatchObject({ code: "RELEASE_MANIFEST" });
  });
});
