import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish } from "../../../coordinator/release/publish.ts";
import { settleFallbacks } from "../../../coordinator/release/settle.ts";
import { chooseFallbacks } from "../../../shared/quantize/fallback.ts";
import { deriveModel } from "../../../shared/quantize/model.ts";
import type { Metrics } from "../../../shared/release/scores.ts";
import { layout, randomParams, World } from "../../fakes/release-world.ts";

const COUNTS = { cohort: 4, survivors: 4, evaluated: 4, examples: 40 };
const REFERENCE: Metrics = {
  segmentation: { mIoU: 0.8 },
  detection: { mAP: 0.5, AP50: 0.7 },
  depthCompletion: { rmse: 1 },
};
const scored = (mIoU: number, mAP = 0.5): Metrics => ({ segmentation: { mIoU }, detection: { mAP } });

let root: string;
let world: World;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "publish-"));
  world = new World(3);
  await world.start();
  await world.commitUpTo(1);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const input = (version: number, quantized: Metrics | null) => ({
  version,
  round: version,
  counts: COUNTS,
  evaluation: quantized === null ? null : { reference: REFERENCE, quantized },
});

describe("publish", () => {
  test("states hashes, scores, measured drops and sizes", async () => {
    const { manifest, folder } = await publish(world.publishContext(root), input(1, scored(0.795, 0.51)));
    expect(manifest).toMatchObject({
      version: 1,
      parentHash: world.chain.link(0)?.paramsHash,
      paramsHash: world.chain.link(1)?.paramsHash,
      evaluation: "measured",
      metrics: REFERENCE,
      counts: COUNTS,
      model: { builder: "allulook4", preset: "nano", dtype: "int8", fallbacks: [] },
    });
    expect(manifest.drops.segmentation).toBeCloseTo(0.005);
    expect(manifest.drops.detection).toBeCloseTo(-0.01);
    expect(manifest.drops).toMatchObject({ depth: null, scene: null });
    const sizes = await Promise.all(
      manifest.files.map(async ({ path, bytes }) => [bytes, (await stat(join(folder as string, path))).size]),
    );
    for (const [stated, real] of sizes) expect(stated).toBe(real);
    const total = manifest.files
      .filter(({ path }) => path.startsWith("model/"))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    expect(manifest.model?.sizeBytes).toBe(total);
    expect((manifest.model?.sizeBytes as number) < (manifest.model?.fp32SizeBytes as number)).toBe(true);
    expect(manifest.updateBytes).toBe(world.chain.link(1)?.update?.bytes);
  });

  test("fp32SizeBytes is what the same folder takes in fp32", async () => {
    const context = world.publishContext(root);
    const { manifest } = await publish(context, input(1, null));
    const whole = new World(3);
    await whole.start();
    await whole.commitUpTo(1);
    const exact = whole.publishContext(null);
    const other = await publish(
      { ...exact, config: { ...exact.config, release: { ...exact.config.release, dtype: "fp32" } } },
      input(1, null),
    );
    expect(other.manifest.model?.sizeBytes).toBe(manifest.model?.fp32SizeBytes);
    expect(other.manifest.model?.fp32SizeBytes).toBe(manifest.model?.fp32SizeBytes);
  });

  test("the first release brings version 0 along, while its bytes are there: offline checks begin at a keyframe", async () => {
    await publish(world.publishContext(root), input(1, null));
    expect(await readdir(join(root, "0"))).toEqual(["keyframe", "manifest.json"]);
    const later = new World(3);
    await later.start();
    await later.commitUpTo(4);
    await publish(later.publishContext(null), input(4, null));
    expect(later.chain.manifest(0)).toBeNull();
  });

  test("unevaluated releases say so", async () => {
    const { manifest } = await publish(world.publishContext(null), input(1, null));
    expect(manifest).toMatchObject({ evaluation: "unevaluated", metrics: {}, model: { fallbacks: [] } });
    expect(Object.values(manifest.drops)).toEqual([null, null, null, null]);
  });

  test("version 0 has no model; otherwise release.every decides, unless the caller does", async () => {
    await world.commitUpTo(4);
    const context = world.publishContext(root);
    const every2 = { ...context, config: { ...context.config, release: { ...context.config.release, every: 2 } } };
    const models = [];
    for (const version of [3, 4]) models.push((await publish(every2, input(version, null))).manifest.model !== null);
    expect(models).toEqual([false, true]);
    await world.commitUpTo(5);
    expect((await publish(every2, { ...input(5, null), withModel: true })).manifest.model).not.toBeNull();
    const fresh = new World(3);
    await fresh.start();
    await fresh.commitUpTo(0);
    expect((await publish(fresh.publishContext(null), input(0, null))).manifest.model).toBeNull();
  });

  test("publishing again, after a restart or over a half-written folder, gives the same bytes", async () => {
    await mkdir(join(root, "1", "model"), { recursive: true });
    await writeFile(join(root, "1", "model", "junk"), "half");
    await mkdir(join(root, ".1.0123.tmp"));
    const first = await publish(world.publishContext(root), input(1, scored(0.8)));
    expect((await readdir(join(root, "1", "model"))).toSorted()).toEqual(["model.json", "weights.bin"]);
    expect((await readdir(root)).toSorted()).toEqual(["0", "1"]);
    await world.start();
    const again = await publish(world.publishContext(root), input(1, null));
    expect(again).toEqual(first);
  });
});

describe("fallbacks", () => {
  const params = randomParams("fallback");

  test("a drop beyond maxDrop is answered by storing the costliest tensors more exactly, in the next link, too", async () => {
    const { manifest } = await publish(world.publishContext(root), input(1, scored(0.7)));
    expect(manifest.evaluation).toBe("predicted");
    const fallbacks = manifest.model?.fallbacks ?? [];
    expect(fallbacks.length).toBeGreaterThan(0);
    expect(manifest.drops.segmentation as number).toBeLessThanOrEqual(0.01);
    await world.start();
    await world.commitUpTo(2);
    expect(world.chain.link(2)?.fallbacks).toEqual(fallbacks);
    const next = await publish(world.publishContext(root), input(2, scored(0.799)));
    expect(next.manifest).toMatchObject({ evaluation: "measured", model: { fallbacks } });
  });

  test("releases that nobody needs are removed: the newest keyframe and what follows stay, and the newest model", async () => {
    const kept = async () => (await readdir(root)).toSorted();
    for (let version = 0; version <= 7; version++) {
      if (version > 1) await world.commitUpTo(version);
      if (version === 6) {
        // Killed while it removed one.
        await mkdir(join(root, ".1.00ff.old", "model"), { recursive: true });
        await mkdir(join(root, "notes"));
      }
      await publish(world.publishContext(root), { ...input(version, null), withModel: version === 4 });
      if (version === 2) expect(await kept()).toEqual(["0", "1", "2"]);
      if (version === 5) expect(await kept()).toEqual(["3", "4", "5"]);
    }
    expect(await kept()).toEqual(["4", "6", "7", "notes"]);
    await world.commitUpTo(8);
    await publish(world.publishContext(root), { ...input(8, null), withModel: true });
    expect(await kept()).toEqual(["6", "7", "8", "notes"]);
  });

  test("with data at hand the drop is measured again until it is within bounds", async () => {
    // A score that falls with the noise left in the params.
    const scores: number[] = [];
    const measure = async (model: Float32Array): Promise<Metrics> => {
      const noise = model.reduce((sum, value, i) => sum + (value - (params[i] as number)) ** 2, 0);
      scores.push(0.8 - 30 * noise);
      return scored(0.8 - 30 * noise);
    };
    const quantized = await measure(deriveModel(params, layout, "int8", []));
    const settled = await settleFallbacks(
      { layout, params, dtype: "int8", fallbacks: [], maxDrop: 0.01, evaluation: { reference: REFERENCE, quantized } },
      measure,
    );
    expect(0.8 - (scores[0] as number)).toBeGreaterThan(0.01);
    expect(settled.evaluation).toBe("measured");
    expect(settled.drops.segmentation as number).toBeLessThanOrEqual(0.01);
  });

  test("a drop that no fallback mends ends with everything whole, and is stated", async () => {
    let calls = 0;
    const settled = await settleFallbacks(
      {
        layout,
        params,
        dtype: "int8",
        fallbacks: [],
        maxDrop: 0.01,
        evaluation: { reference: REFERENCE, quantized: scored(0.1) },
      },
      // The reference scores well, whatever is done to the model does not.
      async () => scored(calls++ === 0 ? 0.8 : 0.1),
    );
    expect(settled.fallbacks.map(({ dtype }) => dtype)).toEqual(layout.tensors.map(() => "fp32"));
    expect(deriveModel(params, layout, "int8", settled.fallbacks)).toEqual(params);
    expect(settled.evaluation).toBe("measured");
    expect(settled.drops.segmentation).toBeCloseTo(0.7);
  });

  test("most noise per byte goes first, earlier fallbacks stay, and the noise that is left is foretold", () => {
    const harmed = params.slice();
    // One outlier per column makes the scales of `kernel` coarse.
    const kernel = layout.tensors.find(({ name }) => name === "kernel") as (typeof layout.tensors)[0];
    for (let i = 0; i < 4; i++) harmed[kernel.offset + i] = 40;
    const choice = chooseFallbacks(layout, harmed, "int8", [{ tensor: "bias", dtype: "fp32" }], 0.5);
    expect(choice.fallbacks).toEqual([
      { tensor: "kernel", dtype: "fp16" },
      { tensor: "bias", dtype: "fp32" },
    ]);
    expect(choice.remaining).toBeLessThanOrEqual(0.5);
    expect(chooseFallbacks(layout, harmed, "int8", [], 1).fallbacks).toEqual([]);
  });
});
