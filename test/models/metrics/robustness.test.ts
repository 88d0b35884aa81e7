import { beforeAll, describe, expect, test } from "@jest/globals";
import { loadEngine } from "../../../models/engine/node/load.ts";
import * as tf from "../../../models/engine/tf.ts";
import { evaluateRobustness } from "../../../models/metrics/robustness.ts";
import { PIXEL_DEVIATION, PIXEL_MEAN } from "../../../models/preprocess/batch.ts";
import { SEVERITIES } from "../../../models/preprocess/corruption/suite.ts";
import type { Sample } from "../../../models/preprocess/sample.ts";
import type { RunnableModel } from "../../../models/runnable.ts";
import { CORRUPTIONS } from "../../../shared/config/robustness.ts";
import { squares, testConfig } from "../synthetic-samples.ts";

beforeAll(async () => {
  await loadEngine();
});

const config = testConfig({
  labels: { segmentation: ["ground", "square"], scene: ["with depth", "without"], depth: { kind: "none" } },
});

/** Takes bright pixels for the square, and tells a scene by whether it is given depth. */
const bright: RunnableModel = {
  strides: { segmentation: 1, depth: 4 },
  forward({ rgb, presence, size, geometry: { height, width } }) {
    const gray = tf.mean(tf.tensor4d(rgb, [size, height, width, 3]), 3, true);
    const level = tf.sub(tf.add(tf.mul(gray, PIXEL_DEVIATION), PIXEL_MEAN), 0.5);
    const depth = tf.slice(tf.tensor2d(presence, [size, 3]), [0, 1], [size, 1]);
    return new Map([
      ["segmentation", tf.concat([tf.neg(level), level], 3)],
      ["scene", tf.concat([depth, tf.sub(1, depth)], 1)],
    ] as const);
  },
};

const run = (samples: readonly Sample[], over: object = {}) =>
  evaluateRobustness(
    bright,
    config,
    [
      { site: "a", count: 2, load: (i) => Promise.resolve(samples[i] as Sample) },
      { site: "b", count: samples.length - 2, load: (i) => Promise.resolve(samples[i + 2] as Sample) },
    ],
    { batchSize: 2, seed: 1, corruptions: CORRUPTIONS, severities: SEVERITIES, ...over },
  );

describe("robustness", () => {
  const samples = squares(5).map((sample) => ({ ...sample, scene: 0 }));

  test("a model that looks at brightness suffers from the dark, from fog and from dirt, not from lost depth or text", async () => {
    const { pictures, clean, corruptions, meanDrops } = await run(samples);
    expect(pictures).toBe(5);
    expect(clean["segmentation"]?.["mIoU"]).toBeGreaterThan(0.9);
    const of = (name: string) => corruptions.find(({ corruption }) => corruption === name);
    for (const name of ["low-light", "noise", "fog", "occlusion"]) {
      expect(of(name)?.meanDrops.segmentation).toBeGreaterThan(0.02);
    }
    // At 2^-2 of the light, 210 of 255 is below one half.
    expect(of("low-light")?.scores.map(({ drops }) => (drops.segmentation as number) > 0.4)).toEqual([
      false,
      true,
      true,
      true,
      true,
    ]);
    for (const name of ["no-depth", "no-text"]) expect(of(name)?.meanDrops.segmentation).toBe(0);
    // Only where there is nothing left of it is depth not given.
    expect(of("no-depth")?.scores.map(({ drops }) => drops.scene)).toEqual([0, 0, 0, 0, 1]);
    expect(of("rain")?.meanDrops.scene).toBe(0);
    expect(meanDrops.scene).toBeCloseTo(1 / 5 / 7, 9);
    expect(meanDrops.detection).toBeNull();
  });

  test("drops are differences from the clean score, and their mean is over severities", async () => {
    const { clean, corruptions } = await run(samples, { corruptions: ["noise"], severities: [2, 4] });
    const [noise] = corruptions;
    const score = clean["segmentation"]?.["mIoU"] as number;
    const drops = noise?.scores.map(({ metrics }) => score - (metrics["segmentation"]?.["mIoU"] as number)) as number[];
    expect(noise?.scores.map((one) => one.drops.segmentation)).toEqual(drops);
    expect(noise?.meanDrops.segmentation).toBeCloseTo(((drops[0] as number) + (drops[1] as number)) / 2, 12);
  });

  test("batches and sites change nothing; pictures without the modality do not count, and nobody is left out for it", async () => {
    const few = { corruptions: ["rain", "no-text"], severities: [2] };
    const mixed = samples.map((sample, i) => (i > 2 ? { ...sample, captions: null } : sample));
    const [one, other] = [await run(mixed, few), await run(mixed, { ...few, batchSize: 5 })];
    expect(one).toEqual(other);
    const textless = samples.map((sample) => ({ ...sample, captions: null }));
    expect((await run(textless, few)).corruptions.map(({ corruption }) => corruption)).toEqual(["rain"]);
    const text = one.corruptions.find(({ corruption }) => corruption === "no-text");
    expect([one.pictures, text?.pictures]).toEqual([5, 3]);
  });
});
