/** Small made-up samples for tests: a bright square on a dark ground, with depth, boxes, mask, caption and scene. */
import type { Dataset, Sample } from "../../models/preprocess/sample.ts";
import { type FederationConfig, federationConfig } from "../../shared/config/federation.ts";
import { Rng } from "../../shared/rng/rng.ts";

export function testConfig(over: Record<string, unknown> = {}): FederationConfig {
  return federationConfig.parse({
    federation: "test",
    labels: {
      detection: ["square"],
      segmentation: ["ground", "square"],
      scene: ["left", "right"],
      depth: { kind: "metric" },
    },
    input: { size: [64, 64] },
    training: { localSteps: 3, batchSize: 2 },
    ...over,
  });
}

/** Square at a random place; it is 1 m away, the ground 3 m. */
export function squareSample(id: string, rng: Rng, width = 80, height = 60): Sample {
  const side = 16 + rng.below(10);
  const x = rng.below(width - side);
  const y = rng.below(height - side);
  const rgb = new Uint8Array(width * height * 3);
  const segmentation = new Uint8Array(width * height);
  const values = new Float32Array(width * height);
  const valid = new Uint8Array(width * height).fill(1);
  for (let v = 0; v < height; v++) {
    for (let u = 0; u < width; u++) {
      const at = v * width + u;
      const inside = u >= x && u < x + side && v >= y && v < y + side;
      rgb.fill((inside ? 200 : 40) + rng.below(20), at * 3, at * 3 + 3);
      segmentation[at] = inside ? 1 : 0;
      values[at] = inside ? 1 : 3;
      if (rng.below(20) === 0) valid[at] = 0;
    }
  }
  const left = x + side / 2 < width / 2;
  return {
    id,
    site: null,
    width,
    height,
    rgb,
    depth: { values, valid },
    captions: [left ? "a square on the left" : "a square on the right"],
    boxes: [{ classIndex: 0, x, y, width: side, height: side, crowd: false }],
    segmentation,
    scene: left ? 0 : 1,
  };
}

/** The same sample without any label or target. */
export function unlabelled(sample: Sample): Sample {
  return { ...sample, depth: null, boxes: null, segmentation: null, scene: null };
}

export function datasetOfSamples(samples: readonly Sample[]): Dataset {
  return {
    size: samples.length,
    entries: samples.map(({ id, site, scene }) => ({ id, site, scene })),
    load: (index) => Promise.resolve(samples[index] as Sample),
  };
}

export function squares(count: number, seed = 1): Sample[] {
  return Array.from({ length: count }, (_, i) => squareSample(`square-${i}.png`, Rng.of(seed, i)));
}
